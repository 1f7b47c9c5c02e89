//! Keys and tokens as rows.

use ports::{RefreshToken, RevokedFamily, StoredKey, StoredSigningKey};

use crate::sql::{Columns, DamagedRow};

pub(super) fn key(columns: &mut Columns) -> Result<StoredKey, DamagedRow> {
    Ok(StoredKey {
        id: columns.text()?,
        name: columns.text()?,
        namespace: columns.parsed("a namespace")?,
        scopes: columns.json("a list of scopes")?,
        hash: columns.hash()?,
        created_at: columns.time()?,
        expires_at: columns.time_or_null()?,
        last_used_at: columns.time_or_null()?,
        revoked_at: columns.time_or_null()?,
        wallet: wallet(columns)?,
    })
}

fn wallet(columns: &mut Columns) -> Result<Option<(String, u32)>, DamagedRow> {
    match columns.text_or_null()? {
        None => Ok(None),
        Some(wallet) => {
            let generation = columns.converted("a number of keys", |number| number.try_into().ok())?;
            Ok(Some((wallet, generation)))
        }
    }
}

/// A refresh token, and whether it was used.
pub(super) fn token(columns: &mut Columns) -> Result<(RefreshToken, bool), DamagedRow> {
    let token = RefreshToken {
        hash: columns.hash()?,
        family: columns.text()?,
        namespace: columns.parsed("a namespace")?,
        subject: columns.text()?,
        created_at: columns.time()?,
        expires_at: columns.time()?,
    };
    Ok((token, columns.integer()? == 1))
}

pub(super) fn revoked_family(columns: &mut Columns) -> Result<RevokedFamily, DamagedRow> {
    Ok(RevokedFamily { family: columns.text()?, at: columns.time()? })
}

pub(super) fn signing_key(columns: &mut Columns) -> Result<StoredSigningKey, DamagedRow> {
    Ok(StoredSigningKey {
        id: columns.text()?,
        master: columns.text()?,
        sealed: columns.blob()?,
        created_at: columns.time()?,
        retired_at: columns.time_or_null()?,
    })
}
