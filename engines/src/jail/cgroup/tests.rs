use super::*;

const MOUNTS: &str = "\
21 1 0:20 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
22 21 0:21 / / rw,relatime - cgroup cgroup rw,memory
23 21 0:22 /docker/abc /proc rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct
24 21 0:23 / /sys rw,relatime - cgroup2 cgroup2 rw,nsdelegate
";

#[test]
fn version_1_is_found_by_its_controller_below_the_own_group() {
    let own = "4:memory:/proc\n1:name=systemd:/\n0::/\n";
    assert_eq!(own_folder(own, MOUNTS, "memory"), Some((Version::One, "/proc".into())));
}

#[test]
fn what_is_mounted_of_a_hierarchy_is_not_named_twice() {
    let own = "3:cpu,cpuacct:/docker/abc/self\n";
    assert_eq!(own_folder(own, MOUNTS, "cpu"), Some((Version::One, "/proc/self".into())));
}

#[test]
fn a_group_that_is_not_visible_falls_back_to_what_is() {
    let own = "3:cpu,cpuacct:/elsewhere\n";
    assert_eq!(own_folder(own, MOUNTS, "cpu"), Some((Version::One, "/proc".into())));
}

#[test]
fn version_2_counts_only_what_it_offers() {
    assert_eq!(own_folder("0::/\n", MOUNTS, "memory"), None, "`/sys` has no `cgroup.controllers`");
}

#[test]
fn version_2_is_found_where_it_offers_the_controller() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("cgroup.controllers"), "cpu memory pids\n").expect("written");
    let mounts = format!("24 21 0:23 / {} rw - cgroup2 cgroup2 rw\n", folder.path().display());
    let found = own_folder("0::/\n", &mounts, "memory");
    assert_eq!(found, Some((Version::Two, folder.path().to_owned())));
}

#[test]
fn lines_that_make_no_sense_are_no_group() {
    for (own, mounts) in [("", ""), ("memory", MOUNTS), ("4:memory:/", "22 21 -"), ("4:memory:/", "a - b")] {
        assert_eq!(own_folder(own, mounts, "memory"), None, "{own:?} {mounts:?}");
    }
}

#[test]
fn only_groups_of_launchers_that_are_gone_are_leftovers() {
    let own = prefix();
    let name = |text: String| is_leftover(Path::new(&text));
    assert!(!name(format!("/x/{own}-1")), "this process lives");
    let (namespace, _) = own.strip_prefix("orama-cage-").and_then(|rest| rest.split_once('-')).expect("its form");
    assert!(name(format!("/x/orama-cage-{namespace}-1-12345678-1")), "process 1 began at another moment");
    assert!(!name("/x/orama-cage-1-1-12345678-1".to_owned()), "of another namespace");
    assert!(!name("/x/somebody-else".to_owned()));
    assert!(!name(format!("/x/orama-cage-{namespace}-1")));
}

#[test]
fn limits_go_where_each_version_has_them() {
    let folder = tempfile::tempdir().expect("a folder");
    let plan = Plan {
        cpu: super::super::CpuLimit { millicores: Some(500), seconds: None },
        ..Plan::of(super::super::Cage::new("/bin/true", super::super::Filter::Native)).0
    };
    let part = |controller, version| Place { controller, version, folder: folder.path().to_owned() };
    for version in [Version::One, Version::Two] {
        for controller in Controller::ALL {
            limit(&part(controller, version), &plan).expect("written");
        }
    }
    let read = |name: &str| fs::read_to_string(folder.path().join(name)).expect("was written");
    assert_eq!(read("memory.limit_in_bytes"), "268435456");
    assert_eq!(read("memory.max"), "268435456");
    assert_eq!(read("memory.swap.max"), "0");
    assert_eq!(read("pids.max"), "65");
    assert_eq!(read("cpu.cfs_quota_us"), "50000");
    assert_eq!(read("cpu.max"), "50000 100000");
}
