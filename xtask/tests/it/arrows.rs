//! The map of ARCHITECTURE.md: who may know whom.

use std::collections::{BTreeMap, BTreeSet};

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, Node, Package, PackageId};

use crate::tree;

/// A crate of the workspace, the crates of it that it may name, and crates that it must not even reach.
struct Place {
    name: &'static str,
    may_name: &'static [&'static str],
    must_not_reach: &'static [&'static str],
}

const STORES: [&str; 3] = ["rusqlite", "redis", "async-nats"];

const MAP: &[Place] = &[
    Place { name: "domain", may_name: &[], must_not_reach: &["tokio", "wasmtime", "hyper", "axum", "clap"] },
    Place { name: "ports", may_name: &["domain"], must_not_reach: &["wasmtime", "axum", "hyper", "rusqlite", "clap"] },
    Place { name: "backends", may_name: &["domain", "ports"], must_not_reach: &["wasmtime", "axum", "clap"] },
    Place {
        name: "engines",
        may_name: &["domain", "ports"],
        must_not_reach: &["rusqlite", "redis", "async-nats", "axum", "clap"],
    },
    Place {
        name: "platform",
        may_name: &["domain", "ports"],
        must_not_reach: &["wasmtime", "rusqlite", "redis", "async-nats", "axum", "hyper", "clap"],
    },
    Place {
        name: "gateway",
        may_name: &["domain", "ports", "platform"],
        must_not_reach: &["wasmtime", "rusqlite", "redis", "async-nats", "clap"],
    },
    Place {
        name: "cli",
        may_name: &["domain", "ports", "backends", "engines", "platform", "gateway"],
        must_not_reach: &[],
    },
    Place {
        name: "bench",
        may_name: &["domain", "ports", "backends", "engines", "platform", "gateway", "cli"],
        must_not_reach: &[],
    },
    Place { name: "xtask", may_name: &["domain"], must_not_reach: &["wasmtime", "rusqlite"] },
];

/// For this machine's target alone: set-up fetched for it, and the tests have no network.
fn metadata() -> Metadata {
    let options = ["--offline".to_owned(), "--filter-platform".to_owned(), "x86_64-unknown-linux-gnu".to_owned()];
    let mut command = MetadataCommand::new();
    command.manifest_path(tree::root().join("Cargo.toml")).other_options(options);
    command.exec().expect("cargo describes the workspace; run `cargo xtask setup` first")
}

fn place(name: &str) -> &'static Place {
    MAP.iter().find(|place| place.name == name).unwrap_or_else(|| panic!("`{name}` is not on the map of this test"))
}

#[test]
fn crates_name_only_crates_below_them() {
    let metadata = metadata();
    let members = metadata.workspace_packages();
    let names: BTreeSet<&str> = members.iter().map(|package| package.name.as_str()).collect();
    for package in &members {
        let allowed = place(&package.name).may_name;
        for dependency in package.dependencies.iter().filter(|dependency| names.contains(dependency.name.as_str())) {
            let (from, to) = (&package.name, &dependency.name);
            assert!(allowed.contains(&to.as_str()), "`{from}` must not depend on `{to}` ({})", dependency.kind);
        }
    }
    assert_eq!(names.len(), MAP.len(), "every place of the map is a crate: {names:?}");
}

#[test]
fn nobody_reaches_what_belongs_to_another_crate() {
    let metadata = metadata();
    let graph = Graph::of(&metadata);
    for package in metadata.workspace_packages() {
        let reached = graph.reached_from(&package.id);
        for forbidden in place(&package.name).must_not_reach {
            assert!(
                !reached.contains(forbidden),
                "`{}` reaches `{forbidden}`: {}",
                package.name,
                graph.way(&package.id, forbidden)
            );
        }
    }
}

#[test]
fn the_heavy_crates_have_one_owner() {
    let metadata = metadata();
    for package in metadata.workspace_packages() {
        let named: BTreeSet<&str> = package.dependencies.iter().map(|dependency| dependency.name.as_str()).collect();
        let may_name_wasmtime = ["engines", "bench"].contains(&package.name.as_str());
        assert!(may_name_wasmtime || !named.contains("wasmtime"), "`{}` names wasmtime", package.name);
        let may_name_stores = ["backends", "bench"].contains(&package.name.as_str());
        assert!(
            may_name_stores || STORES.iter().all(|store| !named.contains(store)),
            "`{}` names a store",
            package.name
        );
    }
}

#[test]
fn crates_are_named_after_their_folders_and_stay_here() {
    for package in metadata().workspace_packages() {
        let folder = package.manifest_path.parent().and_then(|folder| folder.file_name());
        assert_eq!(folder, Some(package.name.as_str()));
        assert_eq!(package.publish.as_deref(), Some(&[] as &[String]), "`{}` has `publish = false`", package.name);
        assert_eq!(package.edition.as_str(), "2024");
        assert_eq!(package.license.as_deref(), Some("Apache-2.0 OR MIT"));
    }
}

/// Who uses whom. Tests of a member count as the member; tests of what it depends on are not built with it.
struct Graph<'a> {
    packages: BTreeMap<&'a PackageId, &'a Package>,
    nodes: BTreeMap<&'a PackageId, &'a Node>,
}

impl<'a> Graph<'a> {
    fn of(metadata: &'a Metadata) -> Self {
        let resolve = metadata.resolve.as_ref().expect("cargo resolved the dependencies");
        Self {
            packages: metadata.packages.iter().map(|package| (&package.id, package)).collect(),
            nodes: resolve.nodes.iter().map(|node| (&node.id, node)).collect(),
        }
    }

    fn used_by(&self, id: &PackageId, with_tests: bool) -> impl Iterator<Item = &'a PackageId> {
        let used = self.nodes[id].deps.iter().filter(move |dependency| {
            let of_the_tests = |kind: &cargo_metadata::DepKindInfo| kind.kind == DependencyKind::Development;
            with_tests || !dependency.dep_kinds.iter().all(of_the_tests)
        });
        used.map(|dependency| &dependency.pkg)
    }

    /// For each package reached, the one that led there.
    fn paths_from(&self, start: &PackageId) -> BTreeMap<&'a PackageId, &'a PackageId> {
        let start = *self.nodes.get_key_value(start).expect("a member is in the graph").0;
        let mut via = BTreeMap::from([(start, start)]);
        let mut open = vec![start];
        while let Some(id) = open.pop() {
            for next in self.used_by(id, id == start) {
                via.entry(next).or_insert_with(|| {
                    open.push(next);
                    id
                });
            }
        }
        via
    }

    fn reached_from(&self, start: &PackageId) -> BTreeSet<&'a str> {
        self.paths_from(start).keys().map(|id| self.packages[id].name.as_str()).collect()
    }

    /// The way from a crate to another, for the one who has to break it.
    fn way(&self, start: &PackageId, to: &str) -> String {
        let via = self.paths_from(start);
        let mut id = *via.keys().find(|id| self.packages[*id].name == to).expect("it was reached");
        let mut names = vec![to];
        while id != start {
            id = via[id];
            names.push(self.packages[id].name.as_str());
        }
        names.reverse();
        names.join(" -> ")
    }
}
