use super::*;

struct Same {
    of_namespace: usize,
    of_function: usize,
}

impl Places for Same {
    fn of_namespace(&self, _: &Namespace) -> usize {
        self.of_namespace
    }

    fn of_function(&self, _: &LaneKey) -> usize {
        self.of_function
    }
}

const MANY: Same = Same { of_namespace: 100, of_function: 100 };

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).expect("a date within range")
}

fn lane(namespace: &str, function: &str) -> LaneKey {
    LaneKey {
        namespace: Namespace::parse(namespace).expect("a valid namespace"),
        function: FunctionName::parse(function).expect("a valid name"),
    }
}

fn names(picked: &[(LaneKey, usize)]) -> Vec<String> {
    picked.iter().map(|(key, room)| format!("{}/{} {room}", key.namespace, key.function)).collect()
}

#[test]
fn a_lane_waits_for_its_time_and_is_gone_when_nothing_is_left() {
    let mut agenda = Agenda::new(8);
    agenda.note(&lane("a", "f"), at(9));
    agenda.note(&lane("a", "f"), at(5));
    agenda.note(&lane("a", "f"), at(7));
    assert_eq!(agenda.next(), Some(at(5)));
    assert_eq!(names(&agenda.pick(at(4), &MANY)), [""; 0]);
    assert_eq!(names(&agenda.pick(at(5), &MANY)), ["a/f 2"]);
    assert_eq!(names(&agenda.pick(at(5), &MANY)), [""; 0], "it is being asked for");
    agenda.begun(&lane("a", "f"), 1, Some(at(7)), at(5));
    assert_eq!((agenda.running(), agenda.next()), (1, Some(at(7))));
    agenda.pick(at(7), &MANY);
    agenda.begun(&lane("a", "f"), 0, None, at(7));
    agenda.ended(&lane("a", "f"));
    agenda.ended(&lane("a", "f"));
    assert!(agenda.lanes.is_empty() && agenda.running_of.is_empty() && agenda.timers.is_empty());
}

#[test]
fn lanes_take_turns() {
    let mut agenda = Agenda::new(4);
    for namespace in ["a", "b", "c", "d", "e"] {
        agenda.note(&lane(namespace, "f"), at(1));
    }
    assert_eq!(names(&agenda.pick(at(1), &MANY)), ["a/f 1", "b/f 1", "c/f 1", "d/f 1"]);
    for namespace in ["a", "b", "c", "d"] {
        agenda.begun(&lane(namespace, "f"), 0, Some(at(1)), at(1));
    }
    assert_eq!(names(&agenda.pick(at(1), &MANY)), [""; 0], "the node is full");
    agenda.ended(&lane("b", "f"));
    assert_eq!(names(&agenda.pick(at(1), &MANY)), ["e/f 1"], "who has waited longest");
}

#[test]
fn a_backlog_leaves_room_for_others() {
    let mut agenda = Agenda::new(80);
    agenda.note(&lane("busy", "f"), at(1));
    assert_eq!(names(&agenda.pick(at(1), &MANY)), ["busy/f 20"], "a quarter of what is free");
    agenda.begun(&lane("busy", "f"), 0, Some(at(1)), at(1));
    agenda.note(&lane("other", "f"), at(1));
    assert_eq!(names(&agenda.pick(at(1), &MANY)), ["busy/f 15", "other/f 11"]);
}

#[test]
fn places_of_functions_and_namespaces_are_kept() {
    let narrow = Same { of_namespace: 3, of_function: 2 };
    let mut agenda = Agenda::new(80);
    agenda.note(&lane("a", "f"), at(1));
    agenda.note(&lane("a", "g"), at(1));
    assert_eq!(names(&agenda.pick(at(1), &narrow)), ["a/f 2", "a/g 1"]);
    agenda.begun(&lane("a", "f"), 0, Some(at(1)), at(1));
    agenda.begun(&lane("a", "g"), 0, Some(at(1)), at(1));
    assert_eq!(names(&agenda.pick(at(1), &narrow)), [""; 0]);
    agenda.ended(&lane("a", "g"));
    assert_eq!(names(&agenda.pick(at(1), &narrow)), ["a/g 1"], "`f` has all the places of a function");
    agenda.begun(&lane("a", "g"), 1, None, at(1));
    agenda.ended(&lane("a", "f"));
    assert_eq!(names(&agenda.pick(at(1), &narrow)), ["a/f 1"]);
}

#[test]
fn what_comes_while_the_registry_is_asked_is_not_forgotten() {
    let mut agenda = Agenda::new(8);
    agenda.note(&lane("a", "f"), at(1));
    agenda.pick(at(1), &MANY);
    agenda.note(&lane("a", "f"), at(2));
    agenda.begun(&lane("a", "f"), 2, None, at(1));
    assert_eq!(agenda.next(), Some(at(2)));
}

#[test]
fn what_waits_its_turn_is_asked_for_again_when_a_call_ends_and_not_before() {
    let mut agenda = Agenda::new(8);
    agenda.note(&lane("a", "f"), at(1));
    agenda.pick(at(1), &MANY);
    agenda.begun(&lane("a", "f"), 1, Some(at(1)), at(1));
    assert_eq!(names(&agenda.pick(at(1), &MANY)), [""; 0]);
    agenda.note(&lane("a", "f"), at(1));
    assert_eq!(names(&agenda.pick(at(1), &MANY)), ["a/f 1"], "what comes now need not wait for it");
    agenda.begun(&lane("a", "f"), 1, Some(at(1)), at(1));
    agenda.ended(&lane("a", "f"));
    assert_eq!(names(&agenda.pick(at(1), &MANY)), ["a/f 2"]);
    agenda.begun(&lane("a", "f"), 2, Some(at(1)), at(1));
    assert_eq!(agenda.next(), Some(at(2)), "nothing runs: look again, but not at once");
}

#[test]
fn a_namespace_without_any_place_still_gets_one_turn() {
    let mut agenda = Agenda::new(1);
    agenda.note(&lane("a", "f"), at(1));
    assert_eq!(names(&agenda.pick(at(1), &MANY)), ["a/f 1"]);
}
