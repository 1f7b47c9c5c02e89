use std::time::Instant;

use async_trait::async_trait;
use domain::{EgressPolicy, Namespace};

use super::Failing;
use crate::{Egress, EgressError, FetchReply, FetchRequest};

#[async_trait]
impl<P: Egress> Egress for Failing<P> {
    async fn fetch(
        &self,
        namespace: &Namespace,
        policies: &[&EgressPolicy],
        request: FetchRequest,
        deadline: Instant,
    ) -> Result<FetchReply, EgressError> {
        self.faults.check("fetch").map_err(|fault| EgressError::Failed(fault.to_string()))?;
        self.inner.fetch(namespace, policies, request, deadline).await
    }

    fn forget(&self, namespace: &Namespace) {
        self.inner.forget(namespace);
    }
}
