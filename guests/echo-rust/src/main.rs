//! Answers `{"echo":<input>}`, the input byte for byte; `null` when there is none.

use std::io::{Read, Write};

fn main() -> std::io::Result<()> {
    let mut input = Vec::new();
    std::io::stdin().read_to_end(&mut input)?;
    let shown: &[u8] = if input.is_empty() { b"null" } else { &input };
    let reply = [b"{\"echo\":", shown, b"}"].concat();
    std::io::stdout().write_all(&reply)
}
