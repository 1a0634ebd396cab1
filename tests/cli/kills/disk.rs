//! Full disks: a tmpfs of a chosen size where it may be mounted, else a limit on the size of a file.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// Bytes of a disk that is large enough for everything.
const LARGE: u64 = 256 << 20;

/// A file system of its own at a folder; unmounted when dropped.
pub struct Disk(PathBuf);

impl Disk {
    /// Whether this user may mount one.
    pub fn possible() -> bool {
        static POSSIBLE: OnceLock<bool> = OnceLock::new();
        *POSSIBLE.get_or_init(|| {
            let folder = tempfile::tempdir().expect("make a folder");
            let mounted = run("mount", &["-t", "tmpfs", "-o", "size=1m", "tmpfs"], folder.path());
            mounted && run("umount", &[], folder.path())
        })
    }

    /// A large one over the folder, which is empty.
    pub fn mount(folder: &Path) -> Self {
        let mounted = run("mount", &["-t", "tmpfs", "-o", &format!("size={LARGE}"), "tmpfs"], folder);
        assert!(mounted, "cannot mount a tmpfs on {}", folder.display());
        Self(folder.to_owned())
    }

    /// Leaves so many free bytes, to the page.
    pub fn leave(&self, room: u64) {
        let stat = Command::new("stat").args(["-f", "-c", "%b %f %S"]).arg(&self.0).output().expect("start stat");
        let text = String::from_utf8_lossy(&stat.stdout).into_owned();
        let numbers: Vec<u64> = text.split_whitespace().map(|number| number.parse().expect("a number")).collect();
        let [blocks, free, size] = numbers[..] else { panic!("stat says {text}") };
        self.resize((blocks - free) * size + room);
    }

    /// Makes it large again.
    pub fn widen(&self) {
        self.resize(LARGE);
    }

    fn resize(&self, bytes: u64) {
        // Zero would be no limit.
        let resized = run("mount", &["-o", &format!("remount,size={}", bytes.max(4096))], &self.0);
        assert!(resized, "cannot make {} {bytes} bytes large", self.0.display());
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if !run("umount", &[], &self.0) {
            eprintln!("cannot unmount {}", self.0.display());
        }
    }
}

fn run(program: &str, args: &[&str], folder: &Path) -> bool {
    Command::new(program).args(args).arg(folder).output().is_ok_and(|output| output.status.success())
}

/// The command under a limit on the size of every file it writes, which fails writes as a full disk does.
pub fn limited(command: &Command, bytes: u64) -> Command {
    let mut limited = Command::new("sh");
    // Blocks of 512 bytes; without the trap, the signal would end the process.
    limited.args(["-c", "trap '' XFSZ; ulimit -f \"$0\" && exec \"$@\"", &(bytes / 512).to_string()]);
    limited.arg(command.get_program()).args(command.get_args());
    limited.current_dir(command.get_current_dir().expect("a working folder"));
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => limited.env(name, value),
            None => limited.env_remove(name),
        };
    }
    limited
}
