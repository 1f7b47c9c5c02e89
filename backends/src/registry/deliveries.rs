//! The queue of calls that are owed. Deliveries of one event share a row of `events`, which goes with the last of them.

mod statements;

use async_trait::async_trait;
use domain::{FunctionName, FunctionRef, Namespace, Timestamp, TriggerKind, VersionNumber};
use ports::{Asked, Begun, Death, Deliveries, Delivery, DeliveryEnd, Lane, RegistryError};

use super::{SqlRegistry, read_all, read_one};
use crate::sql::{Answer, Columns, DamagedRow};

pub(super) use statements::enqueue;

#[async_trait]
impl Deliveries for SqlRegistry {
    async fn write_deliveries(
        &self,
        new: Vec<Delivery>,
        ended: Vec<(String, DeliveryEnd)>,
    ) -> Result<Vec<String>, RegistryError> {
        let mut batch = enqueue(&new, None);
        batch.extend(ended.iter().map(|(id, end)| statements::end(id, end)));
        let answers = self.run_all(batch).await?;
        let left_out = statements::places(&new).zip(&new).filter(|(place, _)| answers[*place].changed == 0);
        Ok(left_out.map(|(_, delivery)| delivery.id.clone()).collect())
    }

    async fn begin_deliveries(&self, asked: Vec<Asked>, now: Timestamp) -> Result<Begun, RegistryError> {
        let batch = asked.iter().flat_map(|asked| [statements::begin(asked, now), statements::next_due(asked)]);
        let mut answers = self.run_all(batch.collect()).await?.into_iter();
        let mut begun = Begun::default();
        while let (Some(deliveries), Some(next)) = (answers.next(), answers.next()) {
            begun.deliveries.extend(in_order(deliveries)?);
            begun.next.push(read_one(next, Columns::time_or_null)?.flatten());
        }
        Ok(begun)
    }

    async fn begin_companions(
        &self,
        namespace: &Namespace,
        trigger: &str,
        limit: usize,
    ) -> Result<Vec<Delivery>, RegistryError> {
        let [begun] = self.run([statements::begin_companions(namespace, trigger, limit)]).await?;
        in_order(begun)
    }

    async fn release_deliveries(&self) -> Result<u64, RegistryError> {
        self.count(statements::release()).await
    }

    async fn hasten_deliveries(&self, now: Timestamp, latest: Timestamp) -> Result<u64, RegistryError> {
        self.count(statements::hasten(now, latest)).await
    }

    async fn lanes(&self, namespace: Option<&Namespace>) -> Result<Vec<Lane>, RegistryError> {
        self.all(statements::lanes(namespace), lane_row).await
    }

    async fn owed_by(&self, namespace: &Namespace, trigger: &str) -> Result<u64, RegistryError> {
        let [counted] = self.run([statements::owed_by(namespace, trigger)]).await?;
        Ok(read_one(counted, Columns::natural)?.unwrap_or(0))
    }

    async fn withdraw_delivery(&self, namespace: &Namespace, id: &str) -> Result<bool, RegistryError> {
        Ok(self.count(statements::withdraw(namespace, id)).await? > 0)
    }

    async fn dead_deliveries(
        &self,
        namespace: &Namespace,
        function: &FunctionName,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Delivery>, RegistryError> {
        let dead = self.all(statements::dead(namespace, function, after, limit), delivery_row).await?;
        Ok(dead.into_iter().map(|(_, delivery)| delivery).collect())
    }

    async fn redrive(
        &self,
        namespace: &Namespace,
        function: &FunctionName,
        ids: Option<&[String]>,
        now: Timestamp,
    ) -> Result<u64, RegistryError> {
        self.count(statements::redrive(namespace, function, ids, now)).await
    }

    async fn delete_dead(
        &self,
        namespace: &Namespace,
        function: &FunctionName,
        ids: Option<&[String]>,
    ) -> Result<u64, RegistryError> {
        self.count(statements::delete_dead(namespace, function, ids)).await
    }

    async fn expire_dead(&self, before: Timestamp, count_max: u64, bytes_max: u64) -> Result<u64, RegistryError> {
        self.count(statements::expire_dead(before, count_max, bytes_max)).await
    }
}

/// `RETURNING` has no order of its own.
fn in_order(answer: Answer) -> Result<Vec<Delivery>, RegistryError> {
    let mut begun = read_all(answer, delivery_row)?;
    begun.sort_by_key(|(seq, delivery)| (delivery.due_at, *seq));
    Ok(begun.into_iter().map(|(_, delivery)| delivery).collect())
}

fn delivery_row(columns: &mut Columns) -> Result<(i64, Delivery), DamagedRow> {
    let seq = columns.integer()?;
    let delivery = Delivery {
        id: columns.text()?,
        event: columns.text()?,
        namespace: columns.parsed("a namespace")?,
        function: FunctionRef { name: columns.parsed("a name")?, version: version(columns)? },
        kind: columns.word("a kind of trigger", TriggerKind::parse)?,
        trigger: columns.text_or_null()?,
        input: columns.blob()?.into(),
        bytes: columns.natural()?,
        depth: columns.converted("a depth", |depth| depth.try_into().ok())?,
        batch_max: columns.converted("the size of a batch", |size| size.try_into().ok())?,
        in_turn: columns.integer()? == 1,
        due_at: columns.time()?,
        created_at: columns.time()?,
        begun: columns.converted("a count", |count| count.try_into().ok())?,
        failed: columns.converted("a count", |count| count.try_into().ok())?,
        put_off: columns.converted("a count", |count| count.try_into().ok())?,
        dead: death(columns)?,
    };
    Ok((seq, delivery))
}

fn version(columns: &mut Columns) -> Result<Option<VersionNumber>, DamagedRow> {
    let Some(number) = columns.integer_or_null()? else { return Ok(None) };
    Ok(u32::try_from(number).ok().and_then(VersionNumber::new))
}

fn death(columns: &mut Columns) -> Result<Option<Death>, DamagedRow> {
    let (at, why) = (columns.time_or_null()?, columns.text_or_null()?);
    Ok(at.map(|at| Death { at, why: why.unwrap_or_default() }))
}

fn lane_row(columns: &mut Columns) -> Result<Lane, DamagedRow> {
    Ok(Lane {
        namespace: columns.parsed("a namespace")?,
        function: columns.parsed("a name")?,
        due_at: columns.time_or_null()?,
        deliveries: columns.natural()?,
        bytes: columns.natural()?,
    })
}
