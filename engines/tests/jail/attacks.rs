//! Each attack is stopped, as root and as an ordinary user; and gets through when the layers that stop it are left out, which
//! shows that it attacks.

use std::collections::BTreeSet;

use engines::jail::attack::{self, Finding};
use engines::jail::{Jail, JailConfig, LayerName};

use super::{helper, is_root, jail, jail_of_user};

async fn attack_by(jail: &Jail, name: &str) -> Finding {
    let mut findings = attack::run(jail, &helper(), &[name]).await.expect("attacked");
    assert_eq!(findings.len(), 1, "one attack has this name");
    findings.remove(0)
}

async fn is_stopped(name: &str) {
    for jail in [jail(), jail_of_user(&[])] {
        let finding = attack_by(&jail, name).await;
        assert!(!finding.through, "{finding:?}");
        assert_ne!(finding.stopped_by, Some("the kernel"), "by a layer, not by chance: {finding:?}");
    }
}

macro_rules! attacks {
    ($($test:ident = $name:literal),* $(,)?) => {
        $(#[tokio::test] async fn $test() { is_stopped($name).await; })*

        #[test]
        fn every_attack_has_a_test() {
            let tested = BTreeSet::from([$($name),*]);
            assert_eq!(attack::names().collect::<BTreeSet<_>>(), tested);
        }
    };
}

attacks! {
    shadow = "shadow",
    tenant_file = "tenant-file",
    symlink = "symlink",
    root_write = "root-write",
    cgroup_files = "cgroup-files",
    proc_of_others = "proc",
    metadata_tcp = "metadata-tcp",
    metadata_udp = "metadata-udp",
    loopback_tcp = "loopback-tcp",
    loopback_udp = "loopback-udp",
    abstract_socket = "abstract-socket",
    signal = "signal",
    signal_warden = "signal-warden",
    fork_bomb = "fork-bomb",
    memory = "memory",
    descriptors = "descriptors",
    disk_bytes = "disk-bytes",
    disk_inodes = "disk-inodes",
    disk_sparse = "disk-sparse",
    busy_loop = "busy-loop",
    ptrace = "ptrace",
    mount = "mount",
    unshare = "unshare",
    setuid = "setuid",
    device = "device",
    module = "module",
    kexec = "kexec",
    bpf = "bpf",
    io_uring = "io-uring",
    keyctl = "keyctl",
    perf = "perf",
    userfaultfd = "userfaultfd",
    vm_read = "vm-read",
    vsock = "vsock",
    netlink = "netlink",
    af_alg = "af-alg",
    clone_namespace = "clone-namespace",
}

async fn gets_through(name: &str, without: &[LayerName]) {
    let mut config = JailConfig::new(helper());
    config.without = without.to_vec();
    let jail = Jail::new(config).expect("a jail");
    let finding = attack_by(&jail, name).await;
    assert!(finding.through, "without {without:?}: {finding:?}");
}

#[tokio::test]
async fn without_a_root_of_its_own_files_of_others_are_read() {
    gets_through("tenant-file", &[LayerName::Root]).await;
    gets_through("symlink", &[LayerName::Root]).await;
}

#[tokio::test]
async fn without_a_network_of_its_own_servers_are_reached() {
    gets_through("loopback-udp", &[LayerName::NetworkNamespace]).await;
    gets_through("loopback-tcp", &[LayerName::NetworkNamespace, LayerName::Landlock]).await;
    gets_through("abstract-socket", &[LayerName::NetworkNamespace, LayerName::Landlock]).await;
}

#[tokio::test]
async fn landlock_alone_holds_tcp_and_abstract_sockets_back() {
    for name in ["loopback-tcp", "abstract-socket"] {
        let mut config = JailConfig::new(helper());
        config.without = vec![LayerName::NetworkNamespace];
        let finding = attack_by(&Jail::new(config).expect("a jail"), name).await;
        assert_eq!((finding.through, finding.stopped_by), (false, Some("landlock")), "{finding:?}");
    }
}

#[tokio::test]
async fn without_a_filter_the_kernel_is_reached() {
    for name in ["unshare", "io-uring", "keyctl", "netlink", "clone-namespace"] {
        gets_through(name, &[LayerName::Seccomp]).await;
    }
}

#[tokio::test]
async fn without_a_filter_nobody_becomes_root_all_the_same() {
    let mut config = JailConfig::new(helper());
    config.without = vec![LayerName::Seccomp];
    let finding = attack_by(&Jail::new(config).expect("a jail"), "setuid").await;
    assert_eq!((finding.through, finding.stopped_by), (false, Some("user-namespace")), "{finding:?}");
}

#[tokio::test]
async fn without_limits_resources_are_exhausted() {
    gets_through("descriptors", &[LayerName::ResourceLimits]).await;
    gets_through("busy-loop", &[LayerName::ResourceLimits]).await;
    gets_through("fork-bomb", &[LayerName::ResourceLimits, LayerName::ProcessGroup]).await;
    gets_through("memory", &[LayerName::ResourceLimits, LayerName::MemoryGroup, LayerName::Watchdog]).await;
}

#[tokio::test]
async fn without_groups_limits_and_the_watchdog_hold() {
    let mut config = JailConfig::new(helper());
    config.without = vec![LayerName::MemoryGroup, LayerName::ProcessGroup, LayerName::CpuGroup];
    let jail = Jail::new(config).expect("a jail");
    for name in ["memory", "fork-bomb", "busy-loop"] {
        let finding = attack_by(&jail, name).await;
        assert!(!finding.through, "{finding:?}");
    }
}

#[tokio::test]
async fn without_a_namespace_of_processes_a_user_signals_its_own_launcher() {
    let jail = jail_of_user(&[LayerName::PidNamespace, LayerName::Landlock]);
    let finding = attack_by(&jail, "signal").await;
    assert!(finding.through, "{finding:?}");
    if is_root() {
        let mut config = JailConfig::new(helper());
        config.without = vec![LayerName::PidNamespace, LayerName::Landlock];
        let finding = attack_by(&Jail::new(config).expect("a jail"), "signal").await;
        assert!(!finding.through, "as root, the inmate is another user: {finding:?}");
    }
}
