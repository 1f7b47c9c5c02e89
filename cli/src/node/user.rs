//! Who the server is: started by root, it becomes somebody who owns the data folder and nothing else.
//!
//! The launcher of the jail is started before, and keeps the rights that cages need. Ports are open by then, files of the
//! configuration are read; what is read again later has to be readable for the new user.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use backends::DataFolder;

use crate::config::ServeConfig;
use crate::screen;

/// Who is taken when there is a user of this name and nobody is named.
const USUAL_NAME: &str = "orama";
/// Who is taken otherwise: an id that no distribution gives out, just below those of the jail.
const USUAL_ID: u32 = 1_999_999_999;
/// How many ids the jail has.
const JAIL_IDS: u32 = 65_536;
/// Names that mean: stay who you are.
const ROOT: &str = "root";

/// A user of this machine and its group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct User {
    uid: u32,
    gid: u32,
}

impl User {
    /// Whom the server becomes; nobody when it is not root, has to stay, or cannot become anybody else and was not told to.
    pub(super) fn choose(config: &ServeConfig, folder: &DataFolder) -> anyhow::Result<Option<Self>> {
        if !rustix::process::geteuid().is_root() || config.user == ROOT {
            return Ok(None);
        }
        let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
        let user = Self::wanted(&config.user, &users)?;
        let jail = config.engine.jail_uid_first;
        if (jail..jail.saturating_add(JAIL_IDS)).contains(&user.uid) {
            bail!("user {} is one of those of the jail; set `node.user` or `engine.jail_uid_first`", user.uid);
        }
        let path = folder.path().canonicalize().context("find the data folder")?;
        match (user.obstacle(&path)?, config.user.is_empty()) {
            (None, _) => {
                user.tell_what_it_cannot_read(config);
                Ok(Some(user))
            }
            (Some(obstacle), true) => {
                screen::talk(&format!(
                    "this server stays root: {obstacle}; choose another folder with `--data DIR`, such as /var/lib/orama"
                ));
                Ok(None)
            }
            (Some(obstacle), false) => bail!("the server cannot become user {}: {obstacle}", user.uid),
        }
    }

    fn wanted(named: &str, users: &str) -> anyhow::Result<Self> {
        let found = |name: &str| users.lines().find_map(|line| Self::of_line(line, name));
        let user = match (named, named.parse::<u32>()) {
            ("", _) => Some(found(USUAL_NAME).unwrap_or(Self { uid: USUAL_ID, gid: USUAL_ID })),
            (_, Ok(id)) => Some(Self { uid: id, gid: id }),
            (name, Err(_)) => found(name),
        };
        let user = user.with_context(|| format!("`node.user`: /etc/passwd has no user `{named}`"))?;
        if user.uid == 0 || user.gid == 0 || user.uid == u32::MAX {
            bail!("`node.user`: {} is no ordinary user; to stay root, set it to `{ROOT}`", user.uid);
        }
        Ok(user)
    }

    /// `name:x:uid:gid:…` (passwd(5)).
    fn of_line(line: &str, name: &str) -> Option<Self> {
        let fields: Vec<&str> = line.split(':').collect();
        let [first, _, uid, gid, ..] = fields[..] else { return None };
        Some(Self { uid: uid.parse().ok()?, gid: gid.parse().ok()? }).filter(|_| first == name)
    }

    /// What keeps this user from the data folder or from our own program, which starts helpers of itself.
    fn obstacle(self, folder: &Path) -> anyhow::Result<Option<String>> {
        let above = |path: &Path| path.metadata().with_context(|| format!("look at `{}`", path.display()));
        for parent in folder.ancestors().skip(1) {
            if !self.may_pass(&above(parent)?) {
                return Ok(Some(format!("user {} may not enter `{}`", self.uid, parent.display())));
            }
        }
        let program = PathBuf::from("/proc/self/exe");
        if !self.may_pass(&above(&program)?) {
            let program = std::env::current_exe().unwrap_or(program);
            return Ok(Some(format!("user {} may not run `{}`", self.uid, program.display())));
        }
        Ok(None)
    }

    /// What is read again when it changes.
    fn tell_what_it_cannot_read(self, config: &ServeConfig) {
        let tls = &config.gateway.tls;
        for file in tls.certificates.iter().chain(&tls.keys) {
            let Ok(path) = file.canonicalize() else { continue };
            let may = |path: &Path, bits| path.metadata().is_ok_and(|found| self.may(&found, bits));
            if !may(&path, 4) || !path.ancestors().skip(1).all(|parent| may(parent, 1)) {
                let (path, uid) = (path.display(), self.uid);
                screen::talk(&format!("user {uid} cannot read `{path}`: when it changes, restart the server"));
            }
        }
    }

    fn may_pass(self, thing: &Metadata) -> bool {
        self.may(thing, 1)
    }

    /// `bits` is 4 for reading, 1 for running or passing through. By the bits of the mode alone: a list of access rights may say
    /// more, and is not asked.
    fn may(self, thing: &Metadata, bits: u32) -> bool {
        let shift = match () {
            () if thing.uid() == self.uid => 6,
            () if thing.gid() == self.gid => 3,
            () => 0,
        };
        (thing.mode() >> shift) & bits == bits
    }

    /// Gives this user the data folder, and becomes it.
    pub(super) fn become_now(self, folder: &DataFolder) -> anyhow::Result<()> {
        let Self { uid, gid } = self;
        folder.give_to(uid, gid).with_context(|| format!("give the data folder to user {uid}"))?;
        engines::privileges::become_user(uid, gid).with_context(|| format!("become user {uid}"))?;
        tracing::info!(uid, gid, "gave up the rights of root");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    const PASSWD: &str =
        "root:x:0:0:root:/root:/bin/sh\ndaemon:x:1:1::/:/bin/false\norama:x:990:991::/:/bin/false\nodd\n";

    #[track_caller]
    fn check(named: &str, users: &str, want: Result<(u32, u32), &str>) {
        let user = User::wanted(named, users).map(|user| (user.uid, user.gid)).map_err(|refused| refused.to_string());
        assert_eq!(user, want.map_err(str::to_owned));
    }

    #[test]
    fn users_are_named_numbered_or_the_usual_one() {
        check("", PASSWD, Ok((990, 991)));
        check("", "", Ok((USUAL_ID, USUAL_ID)));
        check("daemon", PASSWD, Ok((1, 1)));
        check("1234", PASSWD, Ok((1234, 1234)));
        check("nobody-here", PASSWD, Err("`node.user`: /etc/passwd has no user `nobody-here`"));
        check("0", PASSWD, Err("`node.user`: 0 is no ordinary user; to stay root, set it to `root`"));
    }

    #[test]
    fn a_folder_behind_a_closed_one_is_an_obstacle() {
        let home = tempfile::tempdir().expect("a folder");
        let (closed, data) = (home.path().join("closed"), home.path().join("closed/data"));
        std::fs::create_dir_all(&data).expect("made");
        let set = |path: &Path, mode| {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("set");
        };
        set(home.path(), 0o755);
        let stranger = User { uid: 54_321, gid: 54_321 };
        set(&closed, 0o700);
        let obstacle = stranger.obstacle(&data).expect("looked").expect("an obstacle");
        assert!(obstacle.starts_with("user 54321 may not enter `") && obstacle.ends_with("closed`"), "{obstacle}");
        set(&closed, 0o711);
        set(&data, 0o700);
        assert!(stranger.obstacle(&data).expect("looked").is_none_or(|obstacle| obstacle.contains("may not run")));
    }
}
