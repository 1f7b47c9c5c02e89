//! Triggers in a list, and the calls that they owe in another, in the order in which they came.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use async_trait::async_trait;
use domain::{FunctionName, Namespace, Timestamp, Trigger, TriggerKind};

use super::{Kept, MemoryRegistry};
use crate::{Asked, Begun, Deliveries, Delivery, DeliveryEnd, Lane, RegistryError, Triggers};

/// A delivery, and whether somebody has begun it.
#[derive(Debug)]
pub(super) struct KeptDelivery {
    delivery: Delivery,
    running: bool,
}

impl KeptDelivery {
    fn waits(&self) -> bool {
        !self.running && self.delivery.dead.is_none()
    }

    fn is_of(&self, namespace: &Namespace, function: &FunctionName) -> bool {
        self.delivery.namespace == *namespace && self.delivery.function.name == *function
    }

    fn is_owed_by(&self, namespace: &Namespace, trigger: &str) -> bool {
        let delivery = &self.delivery;
        delivery.namespace == *namespace && delivery.trigger.as_deref() == Some(trigger) && delivery.dead.is_none()
    }

    fn begin(&mut self) -> Delivery {
        self.running = true;
        self.delivery.begun += 1;
        self.delivery.clone()
    }

    fn end(&mut self, end: DeliveryEnd) {
        self.running = false;
        self.delivery.begun = 0;
        match end {
            DeliveryEnd::Done => {}
            DeliveryEnd::Later(at) => {
                self.delivery.due_at = at;
                self.delivery.put_off += 1;
            }
            DeliveryEnd::Retry(at) => {
                self.delivery.due_at = at;
                self.delivery.failed += 1;
                self.delivery.put_off = 0;
            }
            DeliveryEnd::Dead(death) => self.delivery.dead = Some(death),
        }
    }
}

#[async_trait]
impl Triggers for MemoryRegistry {
    async fn load_triggers(&self) -> Result<Vec<Trigger>, RegistryError> {
        Ok(self.kept().triggers.clone())
    }

    async fn add_trigger(&self, trigger: Trigger) -> Result<(), RegistryError> {
        let mut kept = self.kept();
        if !kept.has_function(&trigger.namespace, &trigger.function) {
            return Err(RegistryError::NotFound);
        }
        if kept.triggers.iter().any(|known| known.id == trigger.id) {
            return Err(RegistryError::Conflict(format!("a trigger with the id `{}` exists", trigger.id)));
        }
        kept.triggers.push(trigger);
        Ok(())
    }

    async fn delete_trigger(&self, namespace: &Namespace, id: &str) -> Result<(), RegistryError> {
        let mut kept = self.kept();
        kept.trigger(namespace, id)?;
        kept.triggers.retain(|trigger| trigger.id != id);
        kept.deliveries.retain(|kept| !(kept.is_owed_by(namespace, id) && kept.waits()));
        Ok(())
    }

    async fn set_trigger_enabled(
        &self,
        namespace: &Namespace,
        id: &str,
        enabled: bool,
        next_run_at: Option<Timestamp>,
    ) -> Result<(), RegistryError> {
        let mut kept = self.kept();
        let trigger = kept.trigger(namespace, id)?;
        trigger.enabled = enabled;
        trigger.next_run_at = next_run_at;
        Ok(())
    }

    async fn set_next_run(
        &self,
        namespace: &Namespace,
        id: &str,
        next: Option<Timestamp>,
    ) -> Result<(), RegistryError> {
        self.kept().trigger(namespace, id)?.next_run_at = next;
        Ok(())
    }

    async fn claim_slot(
        &self,
        namespace: &Namespace,
        id: &str,
        slot: Timestamp,
        next: Option<Timestamp>,
        deliveries: Vec<Delivery>,
    ) -> Result<bool, RegistryError> {
        let mut kept = self.kept();
        let due = |trigger: &&mut Trigger| trigger.enabled && trigger.next_run_at == Some(slot);
        let Some(trigger) = kept.trigger(namespace, id).ok().filter(due) else { return Ok(false) };
        trigger.next_run_at = next;
        trigger.last_run_at = Some(slot);
        for delivery in deliveries {
            kept.enqueue(delivery);
        }
        Ok(true)
    }
}

#[async_trait]
impl Deliveries for MemoryRegistry {
    async fn write_deliveries(
        &self,
        new: Vec<Delivery>,
        ended: Vec<(String, DeliveryEnd)>,
    ) -> Result<Vec<String>, RegistryError> {
        let mut kept = self.kept();
        let left_out = new.into_iter().filter_map(|delivery| kept.enqueue(delivery)).collect();
        for (id, end) in ended {
            match end {
                DeliveryEnd::Done => kept.deliveries.retain(|kept| kept.delivery.id != id),
                end => {
                    kept.deliveries.iter_mut().filter(|kept| kept.delivery.id == id).for_each(|d| d.end(end.clone()))
                }
            }
        }
        Ok(left_out)
    }

    async fn begin_deliveries(&self, asked: Vec<Asked>, now: Timestamp) -> Result<Begun, RegistryError> {
        let mut kept = self.kept();
        let mut begun = Begun::default();
        for Asked { namespace, function, limit } in asked {
            for place in kept.due(&namespace, &function, now).into_iter().take(limit) {
                begun.deliveries.push(kept.deliveries[place].begin());
            }
            let waiting = kept.deliveries.iter().filter(|kept| kept.is_of(&namespace, &function) && kept.waits());
            begun.next.push(waiting.map(|kept| kept.delivery.due_at).min());
        }
        Ok(begun)
    }

    async fn begin_companions(
        &self,
        namespace: &Namespace,
        trigger: &str,
        limit: usize,
    ) -> Result<Vec<Delivery>, RegistryError> {
        let mut kept = self.kept();
        let collected = |kept: &&mut KeptDelivery| {
            kept.is_owed_by(namespace, trigger) && kept.waits() && kept.delivery.batch_max > 0
        };
        let mut waiting: Vec<_> = kept.deliveries.iter_mut().filter(collected).collect();
        waiting.sort_by_key(|kept| kept.delivery.due_at);
        Ok(waiting.into_iter().take(limit).map(KeptDelivery::begin).collect())
    }

    async fn release_deliveries(&self) -> Result<u64, RegistryError> {
        let mut kept = self.kept();
        Ok(kept.deliveries.iter_mut().map(|kept| u64::from(std::mem::take(&mut kept.running))).sum())
    }

    async fn hasten_deliveries(&self, now: Timestamp, latest: Timestamp) -> Result<u64, RegistryError> {
        let mut hastened = 0;
        for kept in self.kept().deliveries.iter_mut().filter(|kept| kept.waits()) {
            let delivery = &mut kept.delivery;
            let limit = if delivery.failed + delivery.put_off == 0 { now } else { latest };
            if delivery.due_at > limit && delivery.kind != TriggerKind::Timer {
                delivery.due_at = limit;
                hastened += 1;
            }
        }
        Ok(hastened)
    }

    async fn lanes(&self, namespace: Option<&Namespace>) -> Result<Vec<Lane>, RegistryError> {
        let kept = self.kept();
        let mut lanes: BTreeMap<(Namespace, FunctionName), Lane> = BTreeMap::new();
        let wanted = |kept: &&KeptDelivery| {
            kept.delivery.dead.is_none() && namespace.is_none_or(|wanted| kept.delivery.namespace == *wanted)
        };
        for kept in kept.deliveries.iter().filter(wanted) {
            let Delivery { namespace, function, bytes, .. } = &kept.delivery;
            let lane = lanes.entry((namespace.clone(), function.name.clone())).or_insert_with(|| Lane {
                namespace: namespace.clone(),
                function: function.name.clone(),
                due_at: None,
                deliveries: 0,
                bytes: 0,
            });
            lane.deliveries += 1;
            lane.bytes += bytes;
            let due_at = kept.waits().then_some(kept.delivery.due_at);
            lane.due_at = lane.due_at.into_iter().chain(due_at).min();
        }
        Ok(lanes.into_values().collect())
    }

    async fn owed_by(&self, namespace: &Namespace, trigger: &str) -> Result<u64, RegistryError> {
        let kept = self.kept();
        Ok(kept.deliveries.iter().filter(|kept| kept.is_owed_by(namespace, trigger)).count() as u64)
    }

    async fn withdraw_delivery(&self, namespace: &Namespace, id: &str) -> Result<bool, RegistryError> {
        Ok(self.kept().withdraw(namespace, id).is_some())
    }

    async fn dead_deliveries(
        &self,
        namespace: &Namespace,
        function: &FunctionName,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Delivery>, RegistryError> {
        let kept = self.kept();
        let of_function = kept.deliveries.iter().filter(|kept| kept.is_of(namespace, function));
        let mut dead: Vec<_> = of_function.filter_map(|kept| Some((kept.delivery.dead.as_ref()?.at, kept))).collect();
        dead.sort_by_key(|(at, kept)| Reverse((*at, &kept.delivery.id)));
        let behind = match after {
            None => 0,
            Some(id) => dead.iter().position(|(_, kept)| kept.delivery.id == id).map_or(dead.len(), |at| at + 1),
        };
        Ok(dead[behind..].iter().take(limit).map(|(_, kept)| kept.delivery.clone()).collect())
    }

    async fn redrive(
        &self,
        namespace: &Namespace,
        function: &FunctionName,
        ids: Option<&[String]>,
        now: Timestamp,
    ) -> Result<u64, RegistryError> {
        let mut kept = self.kept();
        let mut redriven = 0;
        for kept in kept.deliveries.iter_mut().filter(|kept| is_dead_of(kept, namespace, function, ids)) {
            let delivery = &mut kept.delivery;
            (delivery.dead, delivery.failed, delivery.put_off, delivery.begun) = (None, 0, 0, 0);
            delivery.due_at = now;
            redriven += 1;
        }
        Ok(redriven)
    }

    async fn delete_dead(
        &self,
        namespace: &Namespace,
        function: &FunctionName,
        ids: Option<&[String]>,
    ) -> Result<u64, RegistryError> {
        let mut kept = self.kept();
        let all = kept.deliveries.len();
        kept.deliveries.retain(|kept| !is_dead_of(kept, namespace, function, ids));
        Ok((all - kept.deliveries.len()) as u64)
    }

    async fn expire_dead(&self, before: Timestamp, count_max: u64, bytes_max: u64) -> Result<u64, RegistryError> {
        let mut kept = self.kept();
        let all = kept.deliveries.len();
        let mut dead: Vec<_> = kept.deliveries.iter().filter(|kept| kept.delivery.dead.is_some()).collect();
        dead.sort_by_key(|kept| Reverse((kept.delivery.dead.as_ref().map(|death| death.at), &kept.delivery.id)));
        let mut used: BTreeMap<&Namespace, (u64, u64)> = BTreeMap::new();
        let mut stay = Vec::new();
        for KeptDelivery { delivery, .. } in dead {
            let (count, bytes) = used.entry(&delivery.namespace).or_default();
            (*count, *bytes) = (*count + 1, *bytes + delivery.bytes);
            let young = delivery.dead.as_ref().is_some_and(|death| death.at >= before);
            if young && *count <= count_max && *bytes <= bytes_max {
                stay.push(delivery.id.clone());
            }
        }
        kept.deliveries.retain(|kept| kept.delivery.dead.is_none() || stay.contains(&kept.delivery.id));
        Ok((all - kept.deliveries.len()) as u64)
    }
}

fn is_dead_of(kept: &KeptDelivery, namespace: &Namespace, function: &FunctionName, ids: Option<&[String]>) -> bool {
    let named = ids.is_none_or(|ids| ids.contains(&kept.delivery.id));
    named && kept.is_of(namespace, function) && kept.delivery.dead.is_some()
}

impl Kept {
    fn trigger(&mut self, namespace: &Namespace, id: &str) -> Result<&mut Trigger, RegistryError> {
        let wanted = |trigger: &&mut Trigger| trigger.id == id && trigger.namespace == *namespace;
        self.triggers.iter_mut().find(wanted).ok_or(RegistryError::NotFound)
    }

    /// Takes a delivery out of the queue that nobody has begun; returns its bytes.
    pub(super) fn withdraw(&mut self, namespace: &Namespace, id: &str) -> Option<u64> {
        let withdrawn =
            |kept: &KeptDelivery| kept.delivery.namespace == *namespace && kept.delivery.id == id && kept.waits();
        let place = self.deliveries.iter().position(withdrawn)?;
        Some(self.deliveries.remove(place).delivery.bytes)
    }

    /// `None` when it is in the queue now, else its id.
    pub(super) fn enqueue(&mut self, delivery: Delivery) -> Option<String> {
        let known = self.deliveries.iter().any(|kept| kept.delivery.id == delivery.id);
        if known || !self.has_function(&delivery.namespace, &delivery.function.name) {
            return Some(delivery.id);
        }
        self.deliveries.push(KeptDelivery { delivery, running: false });
        None
    }

    /// The places of the deliveries of a function that can begin, in the order in which they are due.
    fn due(&self, namespace: &Namespace, function: &FunctionName, now: Timestamp) -> Vec<usize> {
        let can_begin = |(place, kept): &(usize, &KeptDelivery)| {
            kept.is_of(namespace, function) && kept.waits() && kept.delivery.due_at <= now && self.has_its_turn(*place)
        };
        let mut due: Vec<(usize, &KeptDelivery)> = self.deliveries.iter().enumerate().filter(can_begin).collect();
        due.sort_by_key(|(_, kept)| kept.delivery.due_at);
        due.into_iter().map(|(place, _)| place).collect()
    }

    fn has_its_turn(&self, place: usize) -> bool {
        let Delivery { in_turn, trigger, namespace, .. } = &self.deliveries[place].delivery;
        let Some(trigger) = trigger.as_ref().filter(|_| *in_turn) else { return true };
        let others = self.deliveries.iter().enumerate().filter(|(other, _)| *other != place);
        let mut others = others.filter(|(_, kept)| kept.is_owed_by(namespace, trigger));
        !others.any(|(other, kept)| kept.running || other < place)
    }

    /// Makes these the triggers that a function has from its manifest.
    pub(super) fn replace_triggers(&mut self, namespace: &Namespace, function: &FunctionName, next: Vec<Trigger>) {
        let stays = |trigger: &Trigger| {
            let of_manifest = trigger.from_manifest && trigger.namespace == *namespace && trigger.function == *function;
            !of_manifest || next.iter().any(|next| next.id == trigger.id)
        };
        self.triggers.retain(stays);
        for trigger in next {
            if !self.triggers.iter().any(|known| known.id == trigger.id) {
                self.triggers.push(trigger);
            }
        }
    }

    /// A function that is deleted takes its triggers and deliveries along.
    pub(super) fn remove_triggers_of(&mut self, namespace: &Namespace, function: &FunctionName) {
        self.triggers.retain(|trigger| trigger.namespace != *namespace || trigger.function != *function);
        self.deliveries.retain(|kept| !kept.is_of(namespace, function));
    }

    pub(super) fn remove_triggers_in(&mut self, namespace: &Namespace) {
        self.triggers.retain(|trigger| trigger.namespace != *namespace);
        self.deliveries.retain(|kept| kept.delivery.namespace != *namespace);
    }
}
