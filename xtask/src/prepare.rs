//! What tests with foreign programs need: pinned Python environments, an Iceberg REST catalog and node modules, in the target
//! folder; and programs of Debian: a browser, PostgreSQL with wal2json, MariaDB, Java.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context as _;

/// Installs what is absent or was pinned otherwise.
pub(crate) fn prepare(root: &Path) -> anyhow::Result<()> {
    let folder = target(root).join("foreign");
    debian()?;
    python(root)?;
    environment(&root.join("tests/foreign/requirements-debezium.txt"), &folder.join("debezium"))?;
    environment(&root.join("tests/foreign/requirements-readers.txt"), &folder.join("readers"))?;
    catalog(&folder.join("rustberg"))?;
    node(&root.join("tests/foreign/package.json"), &folder.join("node"))?;
    node(&root.join("tests/foreign/browser/package.json"), &folder.join("browser"))
}

pub(crate) fn target(root: &Path) -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from)
}

/// Clients in Python, and what manifests are checked with.
pub(crate) fn python(root: &Path) -> anyhow::Result<()> {
    environment(&root.join("tests/foreign/requirements.txt"), &target(root).join("foreign/python"))
}

fn environment(pins: &Path, folder: &Path) -> anyhow::Result<()> {
    install(pins, folder, || {
        run(Command::new("python3").args(["-m", "venv"]).arg(folder))?;
        run(Command::new(folder.join("bin/python")).args(["-m", "pip", "install", "--quiet", "uv"]))?;
        let mut uv = Command::new(folder.join("bin/uv"));
        run(uv.args(["pip", "install", "--quiet", "--python"]).arg(folder.join("bin/python")).arg("-r").arg(pins))
    })
}

/// The REST catalog of the tests.
const RUSTBERG: &str = "rustberg@0.3.0";

/// It is built once: 13 minutes of one core, so without optimisation and without what debuggers need.
fn catalog(folder: &Path) -> anyhow::Result<()> {
    let bin = folder.join("bin/rustberg");
    if fs::exists(&bin)? && fs::read_to_string(folder.join(MARK)).is_ok_and(|installed| installed == RUSTBERG) {
        return Ok(());
    }
    let build = folder.join("build");
    let mut install = Command::new(env!("CARGO"));
    install.args(["install", RUSTBERG, "--quiet", "--debug", "--force", "--no-default-features"]);
    install.args(["--features", "cli,storage-s3", "--root"]).arg(folder).arg("--target-dir").arg(&build);
    run(install.env("CARGO_PROFILE_DEV_DEBUG", "0"))?;
    fs::remove_dir_all(build)?;
    Ok(fs::write(folder.join(MARK), RUSTBERG)?)
}

fn node(pins: &Path, folder: &Path) -> anyhow::Result<()> {
    install(pins, folder, || {
        fs::copy(pins, folder.join("package.json"))?;
        run(Command::new("npm").args(["install", "--no-audit", "--no-fund", "--silent"]).current_dir(folder))
    })
}

/// Programs of Debian that are absent: where tests look for them, and the packages that have them. The browser of playwright
/// would have to be downloaded.
const PROGRAMS: [(&str, &[&str]); 6] = [
    ("/usr/bin/chromium", &["chromium", "fonts-dejavu-core"]),
    ("/usr/lib/postgresql/15/bin/postgres", &["postgresql-15"]),
    ("/usr/lib/postgresql/15/lib/wal2json.so", &["postgresql-15-wal2json"]),
    // Those without `core` would start a service.
    ("/usr/sbin/mariadbd", &["mariadb-server-core"]),
    ("/usr/bin/mariadb", &["mariadb-client-core"]),
    ("/usr/bin/java", &["openjdk-17-jre-headless"]),
];

fn debian() -> anyhow::Result<()> {
    let absent = PROGRAMS.iter().filter(|(path, _)| !Path::new(path).exists());
    let packages: Vec<&str> = absent.flat_map(|(_, packages)| packages.iter().copied()).collect();
    if packages.is_empty() {
        return Ok(());
    }
    run(Command::new("apt-get").args(["update", "-qq"]))?;
    let install = ["install", "-y", "-qq", "--no-install-recommends"];
    run(Command::new("apt-get").args(install).args(&packages))
        .with_context(|| format!("packages of Debian are missing: {packages:?}"))
}

/// Says what was installed.
const MARK: &str = ".installed";

/// A copy of the pins beside what was installed says that it is whole.
fn install(pins: &Path, folder: &Path, run: impl FnOnce() -> anyhow::Result<()>) -> anyhow::Result<()> {
    let (wanted, mark) = (fs::read(pins)?, folder.join(MARK));
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
