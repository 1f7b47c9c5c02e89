//! The binary as it is shipped.

use std::fs;

use anyhow::{Context, Result};

use crate::command::{cargo, run};
use crate::places::Places;

pub fn run_dist(places: &Places) -> Result<()> {
    run(cargo(places).args(["build", "--locked", "--release", "-p", "cli", "--bin", "orama"]))?;
    let folder = places.root.join("dist");
    let binary = folder.join("orama");
    fs::create_dir_all(&folder).context("make `dist`")?;
    let bytes = fs::copy(places.target.join("release/orama"), &binary).context("copy the binary")?;
    println!("dist/orama, {:.1} MB", bytes as f64 / 1e6);
    println!("install it with: install -m 755 dist/orama /usr/local/bin/orama");
    Ok(())
}
