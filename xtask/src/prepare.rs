//! What tests with foreign clients need: a pinned Python environment and node modules, in the target folder; and a browser.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context as _;

/// Installs what is absent or was pinned otherwise.
pub(crate) fn prepare(root: &Path) -> anyhow::Result<()> {
    let folder = target(root).join("foreign");
    python(root, &folder.join("python"))?;
    node(&root.join("tests/foreign/package.json"), &folder.join("node"))?;
    node(&root.join("tests/foreign/browser/package.json"), &folder.join("browser"))?;
    browser()
}

fn target(root: &Path) -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from)
}

fn python(root: &Path, folder: &Path) -> anyhow::Result<()> {
    let pins = root.join("tests/foreign/requirements.txt");
    install(&pins, folder, || {
        run(Command::new("python3").args(["-m", "venv"]).arg(folder))?;
        run(Command::new(folder.join("bin/python")).args(["-m", "pip", "install", "--quiet", "uv"]))?;
        let mut uv = Command::new(folder.join("bin/uv"));
        run(uv.args(["pip", "install", "--quiet", "--python"]).arg(folder.join("bin/python")).arg("-r").arg(&pins))
    })
}

fn node(pins: &Path, folder: &Path) -> anyhow::Result<()> {
    install(pins, folder, || {
        fs::copy(pins, folder.join("package.json"))?;
        run(Command::new("npm").args(["install", "--no-audit", "--no-fund", "--silent"]).current_dir(folder))
    })
}

/// Debian's Chromium, unless there is one: the browser of playwright would have to be downloaded.
fn browser() -> anyhow::Result<()> {
    if fs::exists(CHROMIUM)? {
        return Ok(());
    }
    run(Command::new("apt-get").args(["update", "-qq"]))?;
    run(Command::new("apt-get").args(["install", "-y", "-qq", "--no-install-recommends", "chromium", "fonts-dejavu-core"]))
}

/// Where `tests/foreign/browser` looks for it.
const CHROMIUM: &str = "/usr/bin/chromium";

/// A copy of the pins beside what was installed says that it is whole.
fn install(pins: &Path, folder: &Path, run: impl FnOnce() -> anyhow::Result<()>) -> anyhow::Result<()> {
    let (wanted, mark) = (fs::read(pins)?, folder.join(".installed"));
    if fs::read(&mark).is_ok_and(|installed| installed == wanted) {
        return Ok(());
    }
    if folder.exists() {
        fs::remove_dir_all(folder)?;
    }
    fs::create_dir_all(folder)?;
    run().with_context(|| format!("foreign clients of {} are missing", pins.display()))?;
    Ok(fs::write(mark, wanted)?)
}

fn run(command: &mut Command) -> anyhow::Result<()> {
    crate::report(&format!("+ {command:?}"));
    let status = command.status().with_context(|| format!("{command:?}"))?;
    anyhow::ensure!(status.success(), "{command:?} failed");
    Ok(())
}
