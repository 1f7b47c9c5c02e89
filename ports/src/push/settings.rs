//! What providers need to know, field by field.

use std::collections::BTreeMap;
use std::fmt;

use domain::PushKind;
use zeroize::Zeroizing;

/// A setting of push, of a namespace or of the node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PushField {
    NtfyBaseUrl,
    NtfyAuthToken,
    ExpoAccessToken,
    ApnsKeyPem,
    ApnsKeyId,
    ApnsTeamId,
    ApnsTopic,
    ApnsSandbox,
    FcmServiceAccount,
    VapidPrivateKey,
    VapidSubject,
}

impl PushField {
    pub const ALL: [Self; 11] = [
        Self::NtfyBaseUrl,
        Self::NtfyAuthToken,
        Self::ExpoAccessToken,
        Self::ApnsKeyPem,
        Self::ApnsKeyId,
        Self::ApnsTeamId,
        Self::ApnsTopic,
        Self::ApnsSandbox,
        Self::FcmServiceAccount,
        Self::VapidPrivateKey,
        Self::VapidSubject,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::NtfyBaseUrl => "ntfy_base_url",
            Self::NtfyAuthToken => "ntfy_auth_token",
            Self::ExpoAccessToken => "expo_access_token",
            Self::ApnsKeyPem => "apns_key_pem",
            Self::ApnsKeyId => "apns_key_id",
            Self::ApnsTeamId => "apns_team_id",
            Self::ApnsTopic => "apns_topic",
            Self::ApnsSandbox => "apns_sandbox",
            Self::FcmServiceAccount => "fcm_service_account",
            Self::VapidPrivateKey => "vapid_private_key",
            Self::VapidSubject => "vapid_subject",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|field| field.as_str() == text)
    }

    /// Must nobody be told the value?
    pub fn is_secret(self) -> bool {
        matches!(
            self,
            Self::NtfyAuthToken
                | Self::ExpoAccessToken
                | Self::ApnsKeyPem
                | Self::FcmServiceAccount
                | Self::VapidPrivateKey
        )
    }

    /// The provider that it belongs to. Apple's two channels have the same settings, and stand under the first.
    pub fn provider(self) -> PushKind {
        match self {
            Self::NtfyBaseUrl | Self::NtfyAuthToken => PushKind::Ntfy,
            Self::ExpoAccessToken => PushKind::Expo,
            Self::ApnsKeyPem | Self::ApnsKeyId | Self::ApnsTeamId | Self::ApnsTopic | Self::ApnsSandbox => {
                PushKind::Apns
            }
            Self::FcmServiceAccount => PushKind::Fcm,
            Self::VapidPrivateKey | Self::VapidSubject => PushKind::Webpush,
        }
    }

    /// What a provider cannot do without.
    pub fn needed_by(kind: PushKind) -> &'static [Self] {
        match kind {
            PushKind::Ntfy => &[Self::NtfyBaseUrl],
            PushKind::Expo => &[Self::ExpoAccessToken],
            PushKind::Apns | PushKind::ApnsVoip => {
                &[Self::ApnsKeyPem, Self::ApnsKeyId, Self::ApnsTeamId, Self::ApnsTopic]
            }
            PushKind::Fcm => &[Self::FcmServiceAccount],
            PushKind::Webpush => &[Self::VapidPrivateKey, Self::VapidSubject],
        }
    }
}

impl fmt::Display for PushField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[derive(Clone, PartialEq, Eq)]
struct Set {
    text: Zeroizing<String>,
    by_operator: bool,
}

/// Values of fields; none is empty. Its `Debug` shows which are set, and no value.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct PushSettings(BTreeMap<PushField, Set>);

impl PushSettings {
    /// Sets a field; an empty text clears it.
    pub fn set(&mut self, field: PushField, text: impl Into<String>) {
        let text = Zeroizing::new(text.into());
        match text.is_empty() {
            true => drop(self.0.remove(&field)),
            false => drop(self.0.insert(field, Set { text, by_operator: false })),
        }
    }

    pub fn get(&self, field: PushField) -> Option<&str> {
        self.0.get(&field).map(|set| set.text.as_str())
    }

    pub fn iter(&self) -> impl Iterator<Item = (PushField, &str)> {
        self.0.iter().map(|(field, set)| (*field, set.text.as_str()))
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Did the operator choose this value, and not the namespace?
    pub fn is_by_operator(&self, field: PushField) -> bool {
        self.0.get(&field).is_some_and(|set| set.by_operator)
    }

    /// These settings, and the operator's where there are none. A secret of the operator's is only for a provider of which the
    /// namespace has set nothing: otherwise it would go to an address, or be used for an app, that the namespace chose.
    pub fn over(&self, defaults: &Self) -> Self {
        let mut settings = self.clone();
        let touched = |field: PushField| self.0.keys().any(|own| own.provider() == field.provider());
        for (field, set) in &defaults.0 {
            if !(field.is_secret() && touched(*field)) {
                settings.0.entry(*field).or_insert_with(|| Set { text: set.text.clone(), by_operator: true });
            }
        }
        settings
    }

    /// The fields that a provider would need in addition.
    pub fn missing_for(&self, kind: PushKind) -> Vec<PushField> {
        PushField::needed_by(kind).iter().copied().filter(|field| !self.0.contains_key(field)).collect()
    }
}

impl fmt::Debug for PushSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(fields: &[(PushField, &str)]) -> PushSettings {
        let mut settings = PushSettings::default();
        fields.iter().for_each(|(field, text)| settings.set(*field, *text));
        settings
    }

    #[test]
    fn every_field_is_found_by_its_name() {
        assert!(PushField::ALL.into_iter().all(|field| PushField::parse(field.as_str()) == Some(field)));
    }

    #[test]
    fn a_secret_of_the_operator_never_goes_where_the_namespace_says() {
        let node = settings(&[
            (PushField::NtfyBaseUrl, "https://ntfy.operator.example"),
            (PushField::NtfyAuthToken, "tk_operator"),
            (PushField::ExpoAccessToken, "expo_operator"),
        ]);
        let nothing = PushSettings::default().over(&node);
        assert_eq!(nothing.get(PushField::NtfyAuthToken), Some("tk_operator"));
        assert!(nothing.is_by_operator(PushField::NtfyBaseUrl));

        let elsewhere = settings(&[(PushField::NtfyBaseUrl, "https://evil.example")]).over(&node);
        assert_eq!(elsewhere.get(PushField::NtfyAuthToken), None);
        assert_eq!(elsewhere.get(PushField::ExpoAccessToken), Some("expo_operator"), "another provider is untouched");
        assert!(!elsewhere.is_by_operator(PushField::NtfyBaseUrl));

        let own_token = settings(&[(PushField::NtfyAuthToken, "tk_own")]).over(&node);
        assert_eq!(own_token.get(PushField::NtfyAuthToken), Some("tk_own"));
        assert!(own_token.is_by_operator(PushField::NtfyBaseUrl));
    }

    #[test]
    fn debug_tells_no_value() {
        let shown =
            format!("{:?}", settings(&[(PushField::NtfyBaseUrl, "https://n"), (PushField::ApnsKeyPem, "-----")]));
        assert_eq!(shown, "{NtfyBaseUrl, ApnsKeyPem}");
    }

    #[test]
    fn what_is_empty_is_not_set() {
        let mut some = settings(&[(PushField::ApnsKeyId, "K"), (PushField::ApnsTeamId, "T")]);
        some.set(PushField::ApnsKeyId, "");
        assert_eq!(
            some.missing_for(PushKind::ApnsVoip),
            [PushField::ApnsKeyPem, PushField::ApnsKeyId, PushField::ApnsTopic]
        );
        assert_eq!(some.missing_for(PushKind::Expo), [PushField::ExpoAccessToken]);
    }
}
