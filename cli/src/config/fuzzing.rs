//! The reader of `orama.yaml`, as its fuzz target in `fuzz/` calls it. Public only because that stands outside of the
//! crate; nothing else may use it.

use std::path::Path;

use super::schema::SCHEMA;
use super::{ServeConfig, Settings};

/// A file that is accepted gives a whole configuration, whose every value passes its setting's check.
pub fn server_config(data: &[u8]) {
    let mut settings = Settings::defaults(SCHEMA);
    if settings.apply_file(Path::new("orama.yaml"), &String::from_utf8_lossy(data)).is_err() {
        return;
    }
    for (setting, text, _) in settings.entries() {
        assert_eq!(setting.check(text), Ok(()), "{}", setting.path);
    }
    drop(ServeConfig::from(&settings));
}

#[cfg(test)]
mod tests {
    #[test]
    fn no_saved_input_and_no_change_of_one_breaks_the_reader() {
        crate::replay::replay("server_config", super::server_config);
    }
}
