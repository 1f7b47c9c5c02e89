use async_trait::async_trait;
use domain::{Namespace, Position, Topic};

use super::Failing;
use crate::{NewMessage, PubSub, PubSubCounts, PubSubError, Since, Subscription, TopicView};

#[async_trait]
impl<P: PubSub> PubSub for Failing<P> {
    async fn publish(
        &self,
        namespace: &Namespace,
        topic: &Topic,
        message: NewMessage,
    ) -> Result<Position, PubSubError> {
        self.faults.check("publish").map_err(PubSubError::Unavailable)?;
        self.inner.publish(namespace, topic, message).await
    }

    async fn subscribe(&self, namespace: &Namespace, topic: &Topic, since: Since) -> Result<Subscription, PubSubError> {
        self.faults.check("subscribe").map_err(PubSubError::Unavailable)?;
        self.inner.subscribe(namespace, topic, since).await
    }

    fn topics(&self, namespace: &Namespace) -> Vec<TopicView> {
        self.inner.topics(namespace)
    }

    fn counts(&self) -> PubSubCounts {
        self.inner.counts()
    }

    async fn close(&self, namespace: &Namespace) {
        self.inner.close(namespace).await;
    }

    async fn shut_down(&self) {
        self.inner.shut_down().await;
    }
}
