//! What a worker's author or code may write, as the fuzz targets read it.

use bytes::Bytes;
use domain::{Manifest, is_module_path};

use super::code::{Modules, OURS};
use super::house;

/// Modules lie in their folder, each once, away from ours, and are no more than what they were packed into.
pub fn worker_code(data: &[u8]) {
    let manifest = Manifest::parse("name: a\nlanguage: js").expect("a good manifest");
    let Ok(modules) = Modules::read(&Bytes::copy_from_slice(data), &manifest) else { return };
    assert!(modules.all.iter().map(|(_, text)| text.len()).sum::<usize>() <= data.len());
    assert!(modules.all.iter().all(|(path, _)| is_module_path(path) && path.split('/').next() != Some(OURS)));
    assert!(modules.all.windows(2).all(|pair| pair[0].0 < pair[1].0));
    assert!(modules.all.iter().any(|(path, _)| *path == modules.main));
}

/// Arguments of a host call are pieces of what came.
pub fn worker_arguments(data: &[u8]) {
    let Some(arguments) = house::unframed(Bytes::copy_from_slice(data)) else { return };
    const LENGTH_BYTES: usize = 4;
    assert_eq!(arguments.iter().map(|argument| argument.len() + LENGTH_BYTES).sum::<usize>(), data.len());
}
