//! The house rules as a program: `cargo xtask verify`, `fix`, `lint`, `tidy`, `prepare`, `deploy`, `test`.

mod deploy;
mod prepare;
mod tidy;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

const HELP: &str = "cargo xtask <task>

  verify   everything below, and the documentation; never writes
  lint     format, clippy, tidy
  tidy     the house rules of DESIGN §10 and STYLE
  prepare  installs the foreign clients that tests need, if absent
  deploy   renders and checks the manifests of deploy/k8s
  test     prepares, checks the manifests, then runs all tests
  fix      formats and applies clippy's suggestions
";

fn main() -> ExitCode {
    let task = std::env::args().nth(1).unwrap_or_default();
    let done = match task.as_str() {
        "verify" => verify(),
        "lint" => lint(),
        "tidy" => tidy(),
        "prepare" => prepare::prepare(&root()),
        "deploy" => deploy(),
        "test" => test(),
        "fix" => fix(),
        _ => Err(anyhow::anyhow!("{HELP}")),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            report(&format!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::print_stderr, reason = "a program for people")]
fn report(line: &str) {
    eprintln!("{line}");
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("invariant: xtask lies in the workspace").to_owned()
}

/// Cargo without what it told this program of its own package: `ring` and all that stands on it are built anew when that changes.
fn as_from_a_shell() -> Command {
    let mut cargo = Command::new(env!("CARGO"));
    let told = |name: &str| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_");
    for (name, _) in std::env::vars().filter(|(name, _)| told(name)) {
        cargo.env_remove(name);
    }
    cargo
}

fn cargo(words: &[&str]) -> anyhow::Result<()> {
    report(&format!("+ cargo {}", words.join(" ")));
    let status = as_from_a_shell().args(words).current_dir(root()).status()?;
    anyhow::ensure!(status.success(), "cargo {} failed", words.join(" "));
    Ok(())
}

fn verify() -> anyhow::Result<()> {
    lint()?;
    document()?;
    test()
}

fn lint() -> anyhow::Result<()> {
    cargo(&["fmt", "--all", "--check"])?;
    tidy()?;
    cargo(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"])
}

fn tidy() -> anyhow::Result<()> {
    let faults = tidy::faults(&root())?;
    anyhow::ensure!(faults.is_empty(), "tidy: {} faults\n{}", faults.len(), faults.join("\n"));
    Ok(())
}

fn document() -> anyhow::Result<()> {
    report("+ cargo doc --workspace --no-deps");
    let status = as_from_a_shell()
        .args(["doc", "--workspace", "--no-deps", "--quiet"])
        .env("RUSTDOCFLAGS", "-D warnings")
        .current_dir(root())
        .status()?;
    anyhow::ensure!(status.success(), "cargo doc failed");
    Ok(())
}

fn deploy() -> anyhow::Result<()> {
    prepare::python(&root())?;
    deploy::check(&root())
}

/// Tests run the binary with its fail points, which do nothing unless `FAILPOINTS` is set.
const FAILPOINTS: &str = "watershed-cli/failpoints";

/// Doc tests first: the last lines are those of the runner of all other tests.
fn test() -> anyhow::Result<()> {
    prepare::prepare(&root())?;
    deploy()?;
    // Together: tests have features of their own, and everything below them would be built once with and once without.
    cargo(&["build", "--workspace", "--bins", "--tests", "--features", FAILPOINTS])?;
    cargo(&["test", "--workspace", "--doc", "--quiet", "--features", FAILPOINTS])?;
    let nextest = Command::new(env!("CARGO")).args(["nextest", "--version"]).output().is_ok_and(|output| output.status.success());
    if nextest {
        cargo(&["nextest", "run", "--workspace", "--no-fail-fast", "--features", FAILPOINTS])
    } else {
        cargo(&["test", "--workspace", "--tests", "--no-fail-fast", "--features", FAILPOINTS])
    }
}

fn fix() -> anyhow::Result<()> {
    cargo(&["clippy", "--workspace", "--all-targets", "--fix", "--allow-dirty", "--allow-staged"])?;
    cargo(&["fmt", "--all"])
}
