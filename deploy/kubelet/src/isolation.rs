//! Everything is played in namespaces that nobody outside sees and that vanish, with all processes in them, when the player ends.

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::process::Command;
use std::time::Duration;

use crate::shell;

/// Tells the second start from the first.
const MARK: &str = "KUBELET_IS_ISOLATED";
const UNSHARE: [&str; 7] = ["--net", "--mount", "--uts", "--pid", "--fork", "--kill-child", "--mount-proc"];

/// Starts this program again as the first process of its own namespaces; returns there. Needs root.
///
/// # Errors
/// When there is no `unshare`, or it is not allowed.
pub fn enter() -> anyhow::Result<()> {
    if std::env::var_os(MARK).is_none() {
        let mut again = Command::new("unshare");
        again.args(UNSHARE).arg(std::env::current_exe()?).args(std::env::args_os().skip(1)).env(MARK, "yes");
        return Err(anyhow::Error::from(again.exec()).context("unshare"));
    }
    shell::run("mount -t tmpfs tmpfs /run")?;
    fs::create_dir_all("/run/netns")?;
    shell::run("ip link set lo up")
}

/// Ends the program, and with it all pods, when the time is over.
pub fn end_after(limit: Duration) {
    std::thread::spawn(move || {
        std::thread::sleep(limit);
        shell::say(&format!("the time is over: {} s", limit.as_secs()));
        std::process::exit(1);
    });
}
