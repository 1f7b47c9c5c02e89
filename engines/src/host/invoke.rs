//! Calls of other functions of the namespace.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use domain::{Error, ErrorCode, FunctionRef};
use serde::Serialize;
use tokio::task::JoinSet;
use tracing::Instrument;

use super::json::{JsonText, envelope};
use super::{DATA_BYTES_MAX, Host, InTime, TEXT_BYTES_MAX, check_size, text};

#[derive(Serialize)]
struct Output<'a> {
    output: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    output_base64: Option<String>,
}

#[derive(Serialize)]
struct NoOutput<'a> {
    output: &'static str,
    error: &'a str,
    code: &'static str,
}

impl Host {
    /// The output of another function; nothing when it failed.
    pub(crate) async fn function_invoke(&mut self, name: &[u8], input: &[u8]) -> InTime<Option<Bytes>> {
        match self.called(name, input).await? {
            Ok(output) => Ok(Some(output)),
            Err(error) => {
                self.warn(format!("`function_invoke` of `{}`: {error}", shown(name)));
                Ok(None)
            }
        }
    }

    /// The output of another function, or its error, as JSON.
    pub(crate) async fn function_invoke_v2(&mut self, name: &[u8], input: &[u8]) -> InTime<Bytes> {
        Ok(match self.called(name, input).await? {
            Ok(output) => self.output(&output),
            Err(error) => no_output(&error),
        })
    }

    /// Accepts a call of another function that nobody waits for.
    pub(crate) async fn function_invoke_async(&mut self, name: &[u8], input: &[u8]) -> InTime<bool> {
        let accepted = match callee(name, input) {
            Ok((function, input)) => {
                self.in_time(self.services.invoker.invoke_async(&self.context, &function, input)).await?.map(drop)
            }
            Err(refused) => Err(refused),
        };
        if let Err(error) = &accepted {
            self.warn(format!("`function_invoke_async` of `{}`: {error}", shown(name)));
        }
        Ok(accepted.is_ok())
    }

    /// Runs the other call as a task of its own: inside this one, its stack would stand on ours and its CPU time count twice.
    async fn called(&self, name: &[u8], input: &[u8]) -> InTime<Result<Bytes, Error>> {
        let (function, input) = match callee(name, input) {
            Ok(callee) => callee,
            Err(refused) => return Ok(Err(refused)),
        };
        let (services, context) = (self.services.clone(), self.context.clone());
        // Dropped with this call, it ends the other one.
        let mut task = JoinSet::new();
        task.spawn(async move { services.invoker.invoke(&context, &function, input).await }.in_current_span());
        let ended = match self.in_time(task.join_next()).await? {
            Some(Ok(ended)) => ended,
            Some(Err(_)) | None => Err(Error::of(ErrorCode::Internal)),
        };
        if ended.as_ref().is_err_and(|error| error.code == ErrorCode::Timeout) {
            self.check_deadline()?;
        }
        Ok(ended)
    }

    fn output(&self, output: &[u8]) -> Bytes {
        let shown = match std::str::from_utf8(output) {
            Ok(output) => Output { output, output_base64: None },
            Err(_) => Output { output: "", output_base64: Some(STANDARD.encode(output)) },
        };
        let mut json = JsonText::new(self.memory_bytes_max());
        match json.value(&shown) {
            Ok(()) => json.finish(),
            Err(_) => no_output(&Error::new(
                ErrorCode::ResultTooLarge,
                "the output does not fit into the memory of the function that called",
            )),
        }
    }
}

fn no_output(error: &Error) -> Bytes {
    envelope(&NoOutput { output: "", error: &error.message, code: error.code.as_str() })
}

fn callee(name: &[u8], input: &[u8]) -> Result<(FunctionRef, Bytes), Error> {
    let name = text("name of the function", name, TEXT_BYTES_MAX)?;
    check_size("input", input, DATA_BYTES_MAX)?;
    let function = FunctionRef::parse(name).map_err(|refused| Error::invalid(refused.to_string()))?;
    Ok((function, Bytes::copy_from_slice(input)))
}

fn shown(name: &[u8]) -> String {
    String::from_utf8_lossy(&name[..name.len().min(80)]).into_owned()
}
