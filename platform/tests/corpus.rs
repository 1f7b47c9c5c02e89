//! The saved inputs of the fuzz targets, see `fuzz/replay.rs`.

#[path = "../../fuzz/replay.rs"]
mod replay;

#[test]
fn no_saved_input_and_no_change_of_one_breaks_a_parser() {
    for (target, run) in platform::fuzzing::TARGETS {
        replay::replay(target, *run);
    }
}
