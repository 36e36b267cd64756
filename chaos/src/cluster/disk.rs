//! A node's disk: an ext4 image of its own, so that it can be full or lost; a folder where nothing may be mounted.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use watershed_kubelet::shell::{finish, run, say};

/// Enough for a run, little enough to be filled at once.
const IMAGE_BYTES: u64 = 512 << 20;
/// `EXT4_IOC_SHUTDOWN` without a flush of the journal.
const SHUT_DOWN: &str = r#"$how = pack("L", 2); open(F, "<", $ARGV[0]) or die $!; ioctl(F, 0x8004587d, $how) or die $!"#;
const BALLAST: &str = "ballast";

#[derive(Debug)]
pub(super) struct Disk {
    /// Where the node sees it.
    pub(super) at: PathBuf,
    image: Option<PathBuf>,
}

impl Disk {
    pub(super) fn create(dir: &Path, name: &str) -> anyhow::Result<Self> {
        let at = dir.join(name);
        fs::create_dir_all(&at)?;
        let image = dir.join(format!("{name}.ext4"));
        match format(&image, &at) {
            Ok(()) => Ok(Self { at, image: Some(image) }),
            Err(error) => {
                say(&format!("{name}: its disk is a folder: {error:#}"));
                Ok(Self { at, image: None })
            }
        }
    }

    /// Takes what is free.
    pub(super) fn fill(&self) -> anyhow::Result<()> {
        anyhow::ensure!(self.image.is_some(), "a folder cannot be full");
        // What was preallocated until there was no more is kept by fallocate only block by block.
        let ballast = self.at.join(BALLAST);
        for bytes in [64 << 20, 1 << 20, 64 << 10, 4 << 10_u64] {
            while grow(&ballast, bytes).is_ok() {}
        }
        Ok(())
    }

    /// Gives it back.
    pub(super) fn free(&self) {
        drop(fs::remove_file(self.at.join(BALLAST)));
    }

    /// Nothing reaches the image any more, not even what is written already and not synced.
    pub(super) fn shut_down(&self) -> anyhow::Result<()> {
        anyhow::ensure!(self.image.is_some(), "a folder has no power to cut");
        finish(Command::new("perl").args(["-e", SHUT_DOWN]).arg(&self.at))
    }

    /// As after the start of the machine. No process may have a file in it open.
    pub(super) fn remount(&self) -> anyhow::Result<()> {
        let Some(image) = &self.image else { return Ok(()) };
        finish(Command::new("umount").arg(&self.at))?;
        finish(Command::new("mount").args(["-o", "loop"]).arg(image).arg(&self.at))
    }

    /// Empty, as a new one. No process may have a file in it open.
    pub(super) fn replace(&self) -> anyhow::Result<()> {
        match &self.image {
            Some(image) => {
                finish(Command::new("umount").arg(&self.at))?;
                fs::remove_file(image)?;
                format(image, &self.at)
            }
            None => {
                fs::remove_dir_all(&self.at)?;
                Ok(fs::create_dir_all(&self.at)?)
            }
        }
    }

    pub(super) fn unmount(&self) {
        if self.image.is_some() {
            drop(finish(Command::new("umount").arg(&self.at)));
        }
    }
}

fn format(image: &Path, at: &Path) -> anyhow::Result<()> {
    fs::File::create(image)?.set_len(IMAGE_BYTES)?;
    finish(Command::new("mkfs.ext4").args(["-q", "-F", "-m", "0"]).arg(image))?;
    finish(Command::new("mount").args(["-o", "loop"]).arg(image).arg(at))?;
    run(&format!("rmdir {}/lost+found", at.display()))
}

fn grow(ballast: &Path, bytes: u64) -> anyhow::Result<()> {
    let from = fs::metadata(ballast).map_or(0, |file| file.len());
    finish(Command::new("fallocate").args(["--offset", &from.to_string(), "--length", &bytes.to_string()]).arg(ballast))
}
