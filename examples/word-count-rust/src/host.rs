//! The host calls that this function uses.

#[link(wasm_import_module = "env")]
unsafe extern "C" {
    fn log_info(message: *const u8, length: usize);
    fn get_env(key: *const u8, length: usize) -> u64;
}

/// Where the host puts its results: it asks for memory, and we give it away for good.
#[unsafe(no_mangle)]
extern "C" fn orama_alloc(size: usize) -> *mut u8 {
    Vec::leak(vec![0; size]).as_mut_ptr()
}

/// Writes a line into the log of this call.
pub fn log(message: &str) {
    // SAFETY: the host reads exactly these bytes.
    unsafe { log_info(message.as_ptr(), message.len()) }
}

/// A variable of `env` in function.yaml.
pub fn env(key: &str) -> Option<String> {
    // SAFETY: the host reads exactly these bytes.
    let packed = unsafe { get_env(key.as_ptr(), key.len()) };
    let (pointer, length) = ((packed >> 32) as usize as *const u8, packed as u32 as usize);
    if packed == 0 {
        return None;
    }
    // SAFETY: the pointer came from `orama_alloc`, which made at least this many bytes.
    let bytes = unsafe { std::slice::from_raw_parts(pointer, length) };
    Some(String::from_utf8_lossy(bytes).into_owned())
}
