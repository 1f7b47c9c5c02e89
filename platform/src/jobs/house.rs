//! The jobs of a namespace, as its functions reach them.

use std::sync::atomic::Ordering;

use async_trait::async_trait;
use bytes::Bytes;
use domain::{Error, FunctionRef, Timestamp};
use ports::{CallContext, JobView, Jobs};

use super::NewJob;
use crate::services::House;

#[async_trait]
impl Jobs for House {
    async fn enqueue(
        &self,
        call: &CallContext,
        function: &FunctionRef,
        input: Bytes,
        run_at: Option<Timestamp>,
    ) -> Result<String, Error> {
        let new = NewJob { namespace: self.namespace().clone(), function: function.clone(), input, run_at };
        let depth = call.trigger_depth.saturating_add(1);
        Ok(self.platform()?.owe_job(self.lease.clone(), new, depth).await?.id)
    }

    async fn get(&self, _call: &CallContext, job: &str) -> Result<JobView, Error> {
        let _held = self.lease.hold()?;
        self.platform()?.known_job(self.namespace(), job).await
    }

    async fn cancel(&self, _call: &CallContext, job: &str) -> Result<(), Error> {
        self.platform()?.stop_job(self.lease.clone(), self.namespace(), job).await
    }

    async fn report(&self, call: &CallContext, percent: u8) -> Result<(), Error> {
        let platform = self.platform()?;
        let running = call.job.as_deref().and_then(|job| platform.jobs.find(job));
        let running = running.ok_or_else(|| Error::invalid("the call carries out no job"))?;
        if percent > 100 {
            return Err(Error::invalid(format!("{percent} is no percentage; use 0 to 100")));
        }
        running.progress.store(percent, Ordering::Relaxed);
        Ok(())
    }
}
