//! AssemblyScript: `asc`, of the folder's own packages or of the machine.

use std::path::{Path, PathBuf};

use super::Missing;
use super::tool::{self, Tool};
use crate::failure::{Failure, Outcome};
use crate::project::{MODULE, Project};

const INSTALL: &str = "run `npm install --save-dev assemblyscript` in the folder of the function, or \
                       `npm install -g assemblyscript` (Node.js comes with `apt install nodejs npm`)";
/// The files that may be the root of a function, in this order.
const ROOTS: [&str; 2] = ["function.ts", "index.ts"];

pub fn find(folder: &Path) -> Result<Tool, Missing> {
    let asc = tool::find_in("asc", package_folders(folder)).into_iter().next().or_else(|| tool::find("asc"));
    match asc {
        Some(program) => Ok(Tool::new("asc", program, "--version")),
        None => Err(Missing::new("no AssemblyScript toolchain found: no `asc`", INSTALL)),
    }
}

/// `node_modules/.bin` of this folder and of those above it.
fn package_folders(folder: &Path) -> Vec<PathBuf> {
    let folder = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    folder.ancestors().map(|ancestor| ancestor.join("node_modules/.bin")).collect()
}

/// `--use abort=` removes the import that AssemblyScript makes for failed assertions; they trap instead.
pub fn build(project: &Project) -> Outcome<String> {
    let asc = find(&project.folder)?;
    let root = ROOTS
        .into_iter()
        .find(|root| project.folder.join(root).is_file())
        .ok_or_else(|| Failure::usage(format!("no `function.ts` in `{}`", project.folder.display())))?;
    let mut command = asc.command(&project.folder);
    command.args([root, "-o", MODULE, "-O", "--use", "abort="]);
    tool::run(command, "asc")?;
    Ok("asc".to_owned())
}
