//! Who calls. Resolved once at the edge, from the credential alone; no request header can name a wallet.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::Namespace;

/// What a key may do in its namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// The whole node: every namespace.
    Operator,
    /// Everything in one namespace.
    Admin,
    /// Deploy, roll back, enable, disable and delete functions; read their logs.
    Deploy,
    /// Call private functions.
    Invoke,
    /// Use the namespace's database, cache, storage and topics from outside a function, and send push messages.
    Data,
    /// Publish, subscribe and see who is present, and nothing else.
    Pubsub,
}

impl Scope {
    pub const ALL: [Scope; 6] =
        [Scope::Operator, Scope::Admin, Scope::Deploy, Scope::Invoke, Scope::Data, Scope::Pubsub];

    pub fn as_str(self) -> &'static str {
        match self {
            Scope::Operator => "operator",
            Scope::Admin => "admin",
            Scope::Deploy => "deploy",
            Scope::Invoke => "invoke",
            Scope::Data => "data",
            Scope::Pubsub => "pubsub",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.as_str() == text)
    }
}

/// The scopes of one credential. `operator` and `admin` contain the others, `data` contains `pubsub`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Scopes(Vec<Scope>);

impl Scopes {
    pub fn of(scopes: impl IntoIterator<Item = Scope>) -> Self {
        Self(scopes.into_iter().collect())
    }

    pub fn allow(&self, wanted: Scope) -> bool {
        self.0.iter().any(|held| match held {
            Scope::Operator => true,
            Scope::Admin => wanted != Scope::Operator,
            Scope::Data => matches!(wanted, Scope::Data | Scope::Pubsub),
            held => *held == wanted,
        })
    }

    pub fn iter(&self) -> impl Iterator<Item = Scope> + '_ {
        self.0.iter().copied()
    }
}

/// How the caller proved who it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credential {
    /// No credential, or none that is valid.
    None,
    /// An API key; the id is not secret.
    Key { id: String },
    /// An access token; `session` is the family of refresh tokens, or the key, that it was made from.
    Token { session: String },
    /// The platform itself: a schedule, a topic, another function without a caller of its own.
    Platform,
}

/// The caller of a call, as functions and access rules see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    pub credential: Credential,
    /// The only namespace in which the credential may manage anything.
    pub namespace: Option<Namespace>,
    pub scopes: Scopes,
    /// The `sub` claim of a token; `None` for keys.
    pub subject: Option<String>,
    /// The `custom` claims of a token.
    pub claims: BTreeMap<String, String>,
}

impl Caller {
    pub fn anonymous() -> Self {
        Self {
            credential: Credential::None,
            namespace: None,
            scopes: Scopes::default(),
            subject: None,
            claims: BTreeMap::new(),
        }
    }

    pub fn key(id: impl Into<String>, namespace: Namespace, scopes: Scopes) -> Self {
        Self { credential: Credential::Key { id: id.into() }, namespace: Some(namespace), scopes, ..Self::anonymous() }
    }

    /// As a function of `namespace` sees this caller: who is at home elsewhere is nobody here, so that no namespace can make
    /// up claims for another.
    pub fn is_foreign_to(&self, namespace: &Namespace) -> bool {
        self.namespace.as_ref().is_some_and(|home| home != namespace) && !self.scopes.allow(Scope::Operator)
    }

    pub fn is_anonymous(&self) -> bool {
        self.credential == Credential::None
    }

    /// The wallet as functions see it: the token's subject, else the namespace for a key, else empty.
    ///
    /// A subject that is itself a key (`ak_…`, or with a `:`) is not a wallet.
    pub fn wallet(&self) -> &str {
        match (&self.subject, &self.namespace) {
            (Some(subject), _) if !subject.starts_with("ak_") && !subject.contains(':') => subject,
            (_, Some(namespace)) if !self.is_anonymous() => namespace.as_str(),
            _ => "",
        }
    }

    /// The user whom messages are for, when this caller is one: the claim `account_id` of a wallet's token, else its wallet. Several
    /// wallets may be one account.
    pub fn user(&self) -> Option<&str> {
        let Credential::Token { .. } = self.credential else { return None };
        let subject = self.subject.as_deref().filter(|subject| !subject.contains(':'))?;
        let account = self.claims.get("account_id").map(String::as_str).filter(|account| !account.is_empty());
        Some(account.unwrap_or(subject))
    }

    /// May this caller use `scope` in `namespace`?
    pub fn may(&self, scope: Scope, namespace: &Namespace) -> bool {
        let at_home = self.namespace.as_ref() == Some(namespace) || self.scopes.allow(Scope::Operator);
        at_home && self.scopes.allow(scope)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(scope: Scope) -> Caller {
        Caller::key("k1", Namespace::default_namespace(), Scopes::of([scope]))
    }

    #[test]
    fn scopes_contain_each_other_in_one_direction() {
        let home = Namespace::default_namespace();
        assert!(key(Scope::Admin).may(Scope::Deploy, &home));
        assert!(!key(Scope::Deploy).may(Scope::Admin, &home));
        assert!(!key(Scope::Deploy).may(Scope::Invoke, &home));
        assert!(!key(Scope::Admin).may(Scope::Operator, &home));
    }

    #[test]
    fn only_an_operator_leaves_its_namespace() {
        let abroad = Namespace::parse("other").expect("a valid namespace");
        assert!(!key(Scope::Admin).may(Scope::Invoke, &abroad));
        assert!(key(Scope::Operator).may(Scope::Invoke, &abroad));
    }

    #[test]
    fn the_wallet_of_a_key_is_its_namespace_and_nobody_has_none() {
        assert_eq!(key(Scope::Invoke).wallet(), "default");
        assert_eq!(Caller::anonymous().wallet(), "");
        let token = Caller { subject: Some("0xabc".into()), ..key(Scope::Invoke) };
        assert_eq!(token.wallet(), "0xabc");
        let exchanged = Caller { subject: Some("ak_x:default".into()), ..key(Scope::Invoke) };
        assert_eq!(exchanged.wallet(), "default");
    }

    #[test]
    fn a_user_is_who_signed_in_with_a_wallet() {
        let signed_in = |subject: &str, claims: &[(&str, &str)]| Caller {
            credential: Credential::Token { session: "s".into() },
            subject: Some(subject.into()),
            claims: claims.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
            ..key(Scope::Invoke)
        };
        assert_eq!(signed_in("0xabc", &[]).user(), Some("0xabc"));
        assert_eq!(signed_in("0xabc", &[("account_id", "")]).user(), Some("0xabc"));
        assert_eq!(signed_in("0xabc", &[("account_id", "ada")]).user(), Some("ada"));
        assert_eq!(signed_in("key:k1", &[("account_id", "ada")]).user(), None, "a key is nobody");
        assert_eq!(key(Scope::Admin).user(), None);
        assert_eq!(Caller::anonymous().user(), None);
    }
}
