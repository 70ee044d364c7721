//! Starts a program that may only do what a database server has to: no network, no other programs, few files.
//!
//! Both means apply to a thread and to what it starts: a dedicated thread restricts itself, starts the program and ends.

use std::path::{Path, PathBuf};
use std::process::{Child, Command};

use crate::model::{Error, Result};

/// The restrictions on a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Walls {
    /// It can open no connection, neither over a network nor to a socket of this machine.
    pub network: bool,
    /// It can run no other program, read what servers need, and write in its own directory.
    pub files: bool,
}

impl Walls {
    /// All of them.
    pub const ALL: Self = Self { network: true, files: true };
    /// None: the program is trusted.
    pub const NONE: Self = Self { network: false, files: false };

    /// What is missing, in words; `None` if nothing is.
    pub fn missing(self) -> Option<&'static str> {
        match (self.network, self.files) {
            (true, true) => None,
            (true, false) => Some("its files and programs (Landlock)"),
            (false, true) => Some("its connections (seccomp)"),
            (false, false) => Some("its connections (seccomp), its files and programs (Landlock)"),
        }
    }
}

/// What a server needs of the machine.
#[derive(Debug)]
pub(super) struct Needs {
    /// The one program that may run.
    pub program: PathBuf,
    /// Folders to read besides those of the system.
    pub folders: Vec<PathBuf>,
    /// The folder to write to.
    pub own: PathBuf,
}

/// Starts the program behind as many of those walls as this kernel has, and says which.
///
/// # Errors
/// If it cannot be started.
pub(super) fn spawn(command: Command, needs: &Needs, wanted: Walls) -> Result<(Child, Walls)> {
    if wanted == Walls::NONE {
        return start(command).map(|child| (child, wanted));
    }
    let started = std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            let walls = Walls {
                files: wanted.files && kernel::limit_files(needs),
                network: wanted.network && kernel::limit_network(),
            };
            start(command).map(|child| (child, walls))
        });
        thread.join()
    });
    started.unwrap_or_else(|_| Err(Error::failed("cannot start a server: its thread ended")))
}

fn start(mut command: Command) -> Result<Child> {
    command.spawn().map_err(|error| Error::failed(format!("cannot start a server: {error}")))
}

/// Folders and files of the system that servers read: libraries, locales, time zones, dictionaries, names of users.
#[cfg(target_os = "linux")]
const SYSTEM: &[&str] = &[
    "/usr",
    "/lib",
    "/lib64",
    "/lib32",
    "/nix/store",
    "/gnu/store",
    "/var/cache/postgresql/dicts",
    "/etc/ld.so.cache",
    "/etc/ld.so.preload",
    "/etc/localtime",
    "/etc/timezone",
    "/etc/locale.alias",
    "/etc/nsswitch.conf",
    "/etc/passwd",
    "/etc/group",
    "/etc/ssl/openssl.cnf",
    "/etc/pki/tls/openssl.cnf",
    "/etc/crypto-policies",
    "/dev/urandom",
    "/dev/random",
    "/dev/zero",
];

#[cfg(target_os = "linux")]
mod kernel {
    use std::collections::BTreeMap;
    use std::io::Read;

    use landlock::{
        ABI, Access, AccessFs, AccessNet, BitFlags, Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetError,
        RulesetStatus, Scope, path_beneath_rules,
    };
    use seccompiler::{
        BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
        TargetArch,
    };

    use super::{Needs, Path, PathBuf, SYSTEM};

    /// From now on this thread and what it starts runs one program and writes to one folder. False: the kernel knows no Landlock.
    pub fn limit_files(needs: &Needs) -> bool {
        restrict(needs).is_ok_and(|status| status != RulesetStatus::NotEnforced)
    }

    fn restrict(needs: &Needs) -> Result<RulesetStatus, RulesetError> {
        let (read, run) = (AccessFs::ReadFile | AccessFs::ReadDir, AccessFs::ReadFile | AccessFs::Execute);
        let system = SYSTEM.iter().map(PathBuf::from).chain(needs.folders.iter().cloned());
        // The kernel opens the loader that the program names as a program, too.
        let programs = std::iter::once(needs.program.clone()).chain(loader(&needs.program));
        // What is newer than the kernel is left out: the oldest Landlock already keeps files and programs.
        let rules = Ruleset::default()
            .handle_access(AccessFs::from_all(ABI::V5))?
            .handle_access(AccessNet::from_all(ABI::V5))?
            .scope(Scope::from_all(ABI::V6))?
            .create()?
            .add_rules(path_beneath_rules(system, read))?
            .add_rules(path_beneath_rules(programs, run))?
            .add_rules(path_beneath_rules(["/dev/null"], BitFlags::from(AccessFs::ReadFile) | AccessFs::WriteFile))?
            .add_rules(path_beneath_rules([&needs.own], AccessFs::from_all(ABI::V5)))?;
        Ok(rules.restrict_self()?.ruleset)
    }

    /// The loader that a program names near its beginning: `/lib64/ld-linux-x86-64.so.2`.
    fn loader(program: &Path) -> Option<PathBuf> {
        let mut head = Vec::new();
        std::fs::File::open(program).ok()?.take(8192).read_to_end(&mut head).ok()?;
        let texts = head.split(|byte| *byte == 0).filter_map(|text| std::str::from_utf8(text).ok());
        let mut paths = texts.filter(|text| text.starts_with('/')).map(PathBuf::from);
        paths.find(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("ld")))
    }

    /// From now on this thread and what it starts connects to nothing. False: the kernel has no filter for this processor.
    pub fn limit_network() -> bool {
        program().is_some_and(|program| seccompiler::apply_filter(&program).is_ok())
    }

    fn program() -> Option<BpfProgram> {
        let arch = TargetArch::try_from(std::env::consts::ARCH).ok()?;
        let unless = |index, value, length| {
            let condition = SeccompCondition::new(index, length, SeccompCmpOp::Ne, value).ok()?;
            Some(vec![SeccompRule::new(vec![condition]).ok()?])
        };
        let local = u64::try_from(libc::AF_UNIX).ok()?;
        let mut rules: BTreeMap<i64, Vec<SeccompRule>> = BTreeMap::new();
        let mut deny = |number: libc::c_long, when: Vec<SeccompRule>| {
            #[cfg(target_arch = "x86_64")]
            rules.insert(number | X32, when.clone());
            rules.insert(number, when);
        };
        // The server listens on a socket of its own and answers there: it has nothing to connect to, nor to send elsewhere.
        deny(libc::SYS_socket, unless(0, local, SeccompCmpArgLen::Dword)?);
        deny(libc::SYS_sendto, unless(4, 0, SeccompCmpArgLen::Qword)?);
        for number in [libc::SYS_connect, libc::SYS_sendmsg, libc::SYS_sendmmsg] {
            deny(number, Vec::new());
        }
        // Ways around: requests that pass no filter, and other processes of the same user.
        for number in [libc::SYS_io_uring_setup, libc::SYS_ptrace, libc::SYS_process_vm_writev] {
            deny(number, Vec::new());
        }
        let refused = SeccompAction::Errno(u32::try_from(libc::EACCES).ok()?);
        SeccompFilter::new(rules, SeccompAction::Allow, refused, arch).ok()?.try_into().ok()
    }

    /// The bit that marks a call of the x32 kind, which has the same architecture.
    #[cfg(target_arch = "x86_64")]
    const X32: libc::c_long = 0x4000_0000;
}

#[cfg(not(target_os = "linux"))]
mod kernel {
    use super::Needs;

    pub fn limit_files(_: &Needs) -> bool {
        false
    }

    pub fn limit_network() -> bool {
        false
    }
}

/// What a server with its programs in that folder needs to run in `own`.
pub(super) fn needs(programs: &Path, libraries: Option<&Path>, own: &Path) -> Needs {
    let program = programs.join("postgres");
    let program = std::fs::canonicalize(&program).unwrap_or(program);
    let homes = [programs.parent(), program.parent().and_then(Path::parent)];
    let folders = homes.into_iter().flatten().flat_map(|home| ["lib", "lib64", "share"].map(|name| home.join(name)));
    let folders = folders.chain(libraries.map(Path::to_path_buf)).collect();
    Needs { program, folders, own: own.to_path_buf() }
}
