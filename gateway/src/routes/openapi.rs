//! The OpenAPI document, made from the table.

use bytes::Bytes;
use domain::ErrorCode;
use serde_json::{Map, Value, json};

use super::{Access, ROUTES, Route, Verb};
use crate::error::ErrorForm;

/// The document as it is served; made once.
pub(crate) fn openapi(version: &str) -> Bytes {
    let mut paths = Map::new();
    for route in ROUTES {
        let path = route.path.replace("{*", "{");
        let operations = paths.entry(path).or_insert_with(|| json!({}));
        operations[method_of(route)] = operation(route);
    }
    let document = json!({
        "openapi": "3.1.0",
        "info": { "title": "Orama", "version": version },
        "paths": paths,
        "components": {
            "securitySchemes": {
                "apiKey": { "type": "apiKey", "in": "header", "name": "X-API-Key" },
                "bearer": { "type": "http", "scheme": "bearer" },
            },
            "schemas": { "Error": error_schema(), "FlatError": flat_error_schema() },
        },
    });
    document.to_string().into()
}

/// A route for every method is described as what it is for ordinary functions.
fn method_of(route: &Route) -> String {
    match &route.verb {
        Verb::Any => "post".to_owned(),
        Verb::One(method) => method.as_str().to_lowercase(),
    }
}

fn operation(route: &Route) -> Value {
    let (status, reply) = route.reply;
    let mut operation = json!({
        "summary": route.summary,
        "parameters": parameters(route),
        "security": security(route.access),
        "x-access": access_text(route.access),
        "responses": {
            status.to_string(): { "description": reply },
            "default": {
                "description": "a refusal",
                "content": { "application/json": { "schema": { "$ref": error_schema_of(route) } } },
            },
        },
    });
    if let Some(action) = route.audit {
        operation["x-audit"] = json!(action);
    }
    if !route.request.is_empty() {
        let content = request_type(route.request);
        operation["requestBody"] = json!({ "description": route.request, "content": { content: {} } });
    }
    operation
}

fn request_type(request: &str) -> &'static str {
    match request {
        form if form.starts_with("multipart/form-data") => "multipart/form-data",
        document if document.starts_with("JSON") => "application/json",
        _ => "application/octet-stream",
    }
}

fn parameters(route: &Route) -> Vec<Value> {
    let parameter =
        |name: &str| json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } });
    route.variables().map(parameter).collect()
}

fn security(access: Access) -> Value {
    match access {
        Access::Public => json!([]),
        Access::Function | Access::LocalOrOperator => json!([{}, { "apiKey": [] }, { "bearer": [] }]),
        Access::Credential | Access::Scope(_) | Access::Operator => json!([{ "apiKey": [] }, { "bearer": [] }]),
    }
}

fn access_text(access: Access) -> String {
    match access {
        Access::Public => "public".to_owned(),
        Access::Credential => "any credential".to_owned(),
        Access::Scope(scope) => format!("scope {}", scope.as_str()),
        Access::Operator => "scope operator".to_owned(),
        Access::LocalOrOperator => "this machine, or scope operator".to_owned(),
        Access::Function => "public functions: anybody; private: scope invoke; internal: scope admin".to_owned(),
    }
}

fn error_schema_of(route: &Route) -> &'static str {
    match route.errors {
        // No route answers text: that is for host names.
        ErrorForm::Envelope | ErrorForm::Text => "#/components/schemas/Error",
        ErrorForm::Flat => "#/components/schemas/FlatError",
    }
}

fn flat_error_schema() -> Value {
    let codes: Vec<&str> = ErrorCode::ALL.iter().map(|code| code.as_str()).collect();
    let text = json!({ "type": "string" });
    json!({
        "type": "object",
        "required": ["ok", "error", "code", "message", "retryable", "request_id"],
        "properties": {
            "ok": { "const": false },
            "error": { "type": "string", "description": "the same as `message`" },
            "code": { "enum": codes },
            "message": text,
            "retryable": { "type": "boolean" },
            "request_id": text,
            "retry_after": { "type": "number", "description": "seconds" },
            "hint": text,
        },
    })
}

fn error_schema() -> Value {
    let codes: Vec<&str> = ErrorCode::ALL.iter().map(|code| code.as_str()).collect();
    let text = json!({ "type": "string" });
    json!({
        "type": "object",
        "required": ["ok", "code", "message", "error"],
        "properties": {
            "ok": { "const": false },
            "code": { "enum": codes },
            "message": text,
            "error": {
                "type": "object",
                "required": ["code", "message", "retryable", "request_id"],
                "properties": {
                    "code": { "enum": codes },
                    "message": text,
                    "retryable": { "type": "boolean" },
                    "request_id": text,
                    "retry_after": { "type": "number", "description": "seconds" },
                    "kind": text,
                    "hint": text,
                },
            },
        },
    })
}
