//! Tests of the tree itself: the arrows of the map, the habits, and content identifiers against another implementation.

mod arrows;
mod cid;
mod documents;
mod sdk;
mod tidy;
mod tree;
