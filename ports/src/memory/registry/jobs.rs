//! Jobs in a list, in the order in which they were written.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use async_trait::async_trait;
use domain::{FunctionName, Namespace, Timestamp};

use super::{Kept, MemoryRegistry};
use crate::{Cancelled, Delivery, JobEnd, JobRows, JobStatus, JobView, JobsQuery, RegistryError};

#[derive(Debug)]
pub(super) struct KeptJob {
    namespace: Namespace,
    view: JobView,
}

#[async_trait]
impl JobRows for MemoryRegistry {
    async fn create_job(&self, delivery: Delivery, waiting_max: u64) -> Result<(), RegistryError> {
        let mut kept = self.kept();
        let waits = |job: &&KeptJob| job.namespace == delivery.namespace && !job.view.status.has_ended();
        let full = kept.jobs.iter().filter(waits).count() as u64 >= waiting_max;
        let job = KeptJob { namespace: delivery.namespace.clone(), view: view_of(&delivery) };
        if !kept.has_function(&delivery.namespace, &delivery.function.name) {
            return Err(RegistryError::NotFound);
        }
        if full || kept.enqueue(delivery).is_some() {
            return Err(RegistryError::Conflict(format!("{waiting_max} jobs wait, or this one does")));
        }
        kept.jobs.push(job);
        Ok(())
    }

    async fn job(&self, namespace: &Namespace, id: &str) -> Result<Option<JobView>, RegistryError> {
        Ok(self.kept().job(namespace, id).map(|job| job.view.clone()))
    }

    async fn jobs(&self, query: &JobsQuery) -> Result<Vec<JobView>, RegistryError> {
        let kept = self.kept();
        let home = kept.jobs.iter().filter(|job| job.namespace == query.namespace).map(|job| &job.view);
        let mut all: Vec<&JobView> = home.collect();
        all.sort_by_key(|view| Reverse((view.created_at, &view.id)));
        let behind = match &query.after {
            None => 0,
            Some(id) => all.iter().position(|view| view.id == *id).map_or(all.len(), |at| at + 1),
        };
        let wanted = |view: &&&JobView| {
            query.function.as_ref().is_none_or(|function| view.function.name == *function)
                && query.status.is_none_or(|status| view.status == status)
        };
        let found = all[behind..].iter().filter(wanted).take(query.limit);
        Ok(found.map(|view| JobView { result: None, ..(**view).clone() }).collect())
    }

    async fn start_job(&self, namespace: &Namespace, id: &str, now: Timestamp) -> Result<bool, RegistryError> {
        let mut kept = self.kept();
        let Some(view) = kept.unended(namespace, id) else { return Ok(false) };
        (view.status, view.started_at) = (JobStatus::Running, Some(now));
        Ok(true)
    }

    async fn end_job(&self, namespace: &Namespace, id: &str, end: JobEnd) -> Result<bool, RegistryError> {
        let mut kept = self.kept();
        let Some(view) = kept.unended(namespace, id) else { return Ok(false) };
        match end {
            JobEnd::Again { error } => {
                view.status = JobStatus::Pending;
                view.error = error.or(view.error.take());
            }
            JobEnd::Completed { result, error, at } => {
                (view.status, view.progress, view.completed_at) = (JobStatus::Completed, 100, Some(at));
                (view.result, view.error) = (result, error);
            }
            JobEnd::Failed { error, progress, at } => {
                (view.status, view.progress, view.completed_at) = (JobStatus::Failed, progress, Some(at));
                view.error = Some(error);
            }
        }
        Ok(true)
    }

    async fn cancel_job(&self, namespace: &Namespace, id: &str, now: Timestamp) -> Result<Cancelled, RegistryError> {
        let mut kept = self.kept();
        let job = kept.job(namespace, id).ok_or(RegistryError::NotFound)?;
        if job.view.status.has_ended() {
            return Ok(Cancelled::Ended(job.view.status));
        }
        (job.view.status, job.view.completed_at) = (JobStatus::Cancelled, Some(now));
        Ok(kept.withdraw(namespace, id).map_or(Cancelled::Begun, |bytes| Cancelled::Withdrawn { bytes }))
    }

    async fn release_jobs(&self) -> Result<u64, RegistryError> {
        let mut kept = self.kept();
        let running = kept.jobs.iter_mut().filter(|job| job.view.status == JobStatus::Running);
        Ok(running.map(|job| job.view.status = JobStatus::Pending).count() as u64)
    }

    async fn expire_jobs(&self, before: Timestamp, count_max: u64, bytes_max: u64) -> Result<u64, RegistryError> {
        let mut kept = self.kept();
        let all = kept.jobs.len();
        let mut ended: Vec<&KeptJob> = kept.jobs.iter().filter(|job| job.view.completed_at.is_some()).collect();
        ended.sort_by_key(|job| Reverse((job.view.completed_at, &job.view.id)));
        let mut used: BTreeMap<&Namespace, (u64, u64)> = BTreeMap::new();
        let mut stay = Vec::new();
        for KeptJob { namespace, view } in ended {
            let (count, bytes) = used.entry(namespace).or_default();
            *count += 1;
            *bytes += view.result.as_ref().map_or(0, |result| result.len() as u64);
            if view.completed_at >= Some(before) && *count <= count_max && *bytes <= bytes_max {
                stay.push(view.id.clone());
            }
        }
        kept.jobs.retain(|job| job.view.completed_at.is_none() || stay.contains(&job.view.id));
        Ok((all - kept.jobs.len()) as u64)
    }
}

fn view_of(delivery: &Delivery) -> JobView {
    JobView {
        id: delivery.id.clone(),
        function: delivery.function.clone(),
        status: JobStatus::Pending,
        progress: 0,
        run_at: delivery.due_at,
        created_at: delivery.created_at,
        started_at: None,
        completed_at: None,
        result: None,
        error: None,
    }
}

impl Kept {
    fn job(&mut self, namespace: &Namespace, id: &str) -> Option<&mut KeptJob> {
        self.jobs.iter_mut().find(|job| job.namespace == *namespace && job.view.id == id)
    }

    fn unended(&mut self, namespace: &Namespace, id: &str) -> Option<&mut JobView> {
        self.job(namespace, id).map(|job| &mut job.view).filter(|view| !view.status.has_ended())
    }

    /// The jobs of a function that is deleted, or of a namespace.
    pub(super) fn remove_jobs(&mut self, namespace: &Namespace, function: Option<&FunctionName>) {
        let goes = |job: &KeptJob| {
            job.namespace == *namespace && function.is_none_or(|function| job.view.function.name == *function)
        };
        self.jobs.retain(|job| !goes(job));
    }
}
