//! Code from a chain as a table.

use async_trait::async_trait;
use ports::{ChainCodes, RegistryError, StoredChainCode};

use super::SqlRegistry;
use crate::sql::{Columns, DamagedRow, Statement};

#[async_trait]
impl ChainCodes for SqlRegistry {
    async fn load_chain_codes(&self) -> Result<Vec<StoredChainCode>, RegistryError> {
        let sql = "SELECT tx, code, code_bytes, added_at FROM chain_codes";
        self.all(Statement::new(sql, []), chain_code).await
    }

    async fn add_chain_code(&self, code: StoredChainCode) -> Result<(), RegistryError> {
        let sql = "INSERT INTO chain_codes (tx, code, code_bytes, added_at) VALUES (?1, ?2, ?3, ?4)
            ON CONFLICT (tx) DO NOTHING";
        let values = [
            code.transaction.as_slice().into(),
            code.code.to_string().into(),
            code.code_bytes.into(),
            code.added_at.into(),
        ];
        self.count(Statement::new(sql, values)).await.map(drop)
    }
}

fn chain_code(columns: &mut Columns) -> Result<StoredChainCode, DamagedRow> {
    Ok(StoredChainCode {
        transaction: columns.hash()?,
        code: columns.parsed("a content identifier")?,
        code_bytes: columns.natural()?,
        added_at: columns.time()?,
    })
}
