//! The configuration of a workerd process, in Cap'n Proto's text form.
//!
//! Two kinds. A *loader* waits for code, which it is given over its socket: it is started before anybody asks. A *direct* one
//! has the code in its configuration, and answers twice as many requests. Both have one socket in, one out, and no network.

use std::fmt::Write;

use domain::{Manifest, WORKER_COMPATIBILITY_DATE};
use serde::Serialize;
use serde_json::{Value, json};

use super::code::{Modules, OURS};

/// The file in the folder of the process.
pub(super) const FILE: &str = "config.capnp";
/// The folder as the process sees it.
pub(super) const PLACE: &str = "/orama";
/// Our end of host calls and outbound requests, in that folder.
pub(super) const HOST_SOCKET: &str = "host.sock";
/// Where the process listens; it inherits the socket.
pub(super) const HTTP_SOCKET: &str = "http.sock";
/// Where it answers without any code of an author's: who is answered there knows that the event loop turns.
pub(super) const PROBE_SOCKET: &str = "probe.sock";

const RUNTIME: &str = include_str!("js/runtime.js");
const ORAMA: &str = include_str!("js/orama.js");
const ENTRY: &str = include_str!("js/entry.js");
const LOADER: &str = include_str!("js/loader.js");
/// What the runtime module needs, at any compatibility date.
const FLAG: &str = "nodejs_als";
/// The same, where the date does not bring it. It may not be asked for where the date does.
const OLD_FLAG: &str = "workers_api_getters_setters_on_prototype";
const OLD_BEFORE: &str = "2022-01-31";

/// A file to be written, by its path in the folder.
pub(super) type File = (String, String);

/// The files of a process that waits for code. `facts_header` carries, both ways, what a request is to know of its call; nobody
/// but the process and us knows its name.
pub(super) fn loader(facts_header: &str, heap_mb: u32) -> Vec<File> {
    let worker = format!(
        r#"modules = [(name = "loader.js", esModule = embed "loader.js")],
      compatibilityDate = "{WORKER_COMPATIBILITY_DATE}",
      bindings = [
        (name = "loader", workerLoader = (id = "loader")),
        (name = "host", service = "host"),
        (name = "outside", service = "outside"),
      ],
      globalOutbound = "nowhere""#
    );
    vec![(FILE.into(), whole(&worker, facts_header, heap_mb)), ("loader.js".into(), LOADER.into())]
}

/// The files of a process that has its code.
pub(super) fn direct(modules: &Modules, manifest: &Manifest, facts_header: &str) -> Vec<File> {
    let mut files = vec![("variables.json".to_owned(), variables(manifest).to_string())];
    let mut list = String::new();
    for (path, text) in all_modules(modules) {
        // Paths are of plain letters: nothing to escape.
        let _ = write!(list, "(name = \"{path}\", esModule = embed \"code/{path}\"), ");
        files.push((format!("code/{path}"), text));
    }
    let worker = format!(
        r#"modules = [{list}],
      compatibilityDate = "{}",
      compatibilityFlags = {:?},
      bindings = [
        (name = "host", service = "host"),
        (name = "variables", json = embed "variables.json"),
      ],
      globalOutbound = "outside""#,
        compatibility_date(manifest),
        compatibility_flags(manifest)
    );
    files.push((FILE.into(), whole(&worker, facts_header, manifest.memory_mb)));
    files
}

/// What a loader is given: the same code, as JSON.
pub(super) fn to_load(modules: &Modules, manifest: &Manifest) -> Vec<u8> {
    #[derive(Serialize)]
    struct Module {
        js: String,
    }
    let modules: Vec<(String, Module)> =
        all_modules(modules).into_iter().map(|(path, js)| (path, Module { js })).collect();
    let main = modules[0].0.clone();
    let modules: std::collections::BTreeMap<_, _> = modules.into_iter().collect();
    let code = json!({
        "modules": modules,
        "main": main,
        "compatibilityDate": compatibility_date(manifest),
        "compatibilityFlags": compatibility_flags(manifest),
        "variables": variables(manifest),
    });
    code.to_string().into_bytes()
}

/// Ours and the author's; the first is the one that begins.
fn all_modules(modules: &Modules) -> Vec<File> {
    let entry = ENTRY.replace("AUTHOR", &format!("../{}", modules.main));
    let ours = [("entry.js", entry), ("runtime.js", RUNTIME.into()), ("orama.js", ORAMA.into())];
    let ours = ours.into_iter().map(|(name, text)| (format!("{OURS}/{name}"), text));
    ours.chain(modules.all.iter().cloned()).collect()
}

fn variables(manifest: &Manifest) -> Value {
    json!(manifest.env)
}

fn compatibility_date(manifest: &Manifest) -> &str {
    manifest.compatibility_date.as_deref().unwrap_or(WORKER_COMPATIBILITY_DATE)
}

fn compatibility_flags(manifest: &Manifest) -> &'static [&'static str] {
    // Days in this form are in the order of their letters.
    if compatibility_date(manifest) < OLD_BEFORE { &[FLAG, OLD_FLAG] } else { &[FLAG] }
}

/// The header in which a request brings the scheme that its client used; as hard to guess as the other.
pub(super) fn scheme_header(facts_header: &str) -> String {
    format!("{facts_header}-by")
}

fn whole(worker: &str, facts_header: &str, heap_mb: u32) -> String {
    let scheme_header = scheme_header(facts_header);
    format!(
        r#"using Workerd = import "/workerd/workerd.capnp";

const config :Workerd.Config = (
  services = [
    (name = "main", worker = (
      {worker},
    )),
    (name = "host", external = (address = "unix:{PLACE}/{HOST_SOCKET}", http = ())),
    (name = "outside", external = (
      address = "unix:{PLACE}/{HOST_SOCKET}",
      http = (style = proxy, cfBlobHeader = "{facts_header}"),
    )),
    (name = "probe", disk = (path = "{PLACE}", writable = false)),
    (name = "nowhere", network = (allow = [])),
    (name = "internet", network = (allow = [])),
  ],
  sockets = [
    (name = "http", http = (cfBlobHeader = "{facts_header}", forwardedProtoHeader = "{scheme_header}"), service = "main"),
    (name = "probe", http = (), service = "probe"),
  ],
  v8Flags = ["--max-heap-size={heap_mb}"],
);
"#
    )
}
