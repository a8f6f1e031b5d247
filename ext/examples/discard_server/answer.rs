//! What the server answers, in the words of rivvend.

use std::sync::atomic::Ordering;

use rivven_protocol::{Request, Response, PROTOCOL_VERSION};

use crate::batch::Batch;
use crate::state::{end, lock, State};

/// Counts the records of a batch.
pub fn publish(batch: &Batch<'_>, state: &State) -> Response {
    let Some(ends) = state.topic(batch.topic) else { return no_topic(batch.topic) };
    let Some(end) = ends.get(batch.partition as usize) else {
        return no_partition(batch.topic, batch.partition);
    };
    let (partition, record_count) = (batch.partition, batch.count as u32);
    let Some((id, epoch, sequence)) = batch.producer else {
        let base_offset = end.fetch_add(batch.count, Ordering::Relaxed);
        return Response::PublishedBatch { base_offset, partition, record_count };
    };
    let Some(producer) = state.producer(id) else { return error(&format!("UNKNOWN_PRODUCER_ID: {id}")) };
    let mut producer = lock(&producer);
    if epoch != producer.epoch {
        return error(&format!("PRODUCER_FENCED: epoch {epoch}, the present one is {}", producer.epoch));
    }
    let next = producer.next.entry(partition).or_default();
    if sequence > *next {
        return error(&format!("OUT_OF_ORDER_SEQUENCE: expected {next}, got {sequence}"));
    }
    let duplicate = sequence < *next;
    let base_offset = if duplicate {
        end.load(Ordering::Relaxed)
    } else {
        *next += batch.count as i32;
        end.fetch_add(batch.count, Ordering::Relaxed)
    };
    Response::IdempotentPublishedBatch { base_offset, partition, record_count, duplicate }
}

/// Answers a request without records.
pub fn answer(request: Request, state: &State) -> Response {
    match request {
        Request::Handshake { protocol_version, .. } => Response::HandshakeResult {
            server_version: PROTOCOL_VERSION,
            compatible: protocol_version == PROTOCOL_VERSION,
            message: String::new(),
        },
        Request::Ping => Response::Pong,
        Request::CreateTopic { name, partitions } => {
            let partitions = partitions.unwrap_or(3);
            if !(1..=1000).contains(&partitions) {
                error(&format!("INVALID_PARTITION_COUNT: {partitions}"))
            } else if state.create(&name, partitions) {
                Response::TopicCreated { name, partitions }
            } else {
                error(&format!("Topic '{name}' already exists"))
            }
        }
        Request::ListTopics => Response::Topics { topics: state.names() },
        Request::GetMetadata { topic } => match state.topic(&topic) {
            Some(ends) => Response::Metadata { name: topic, partitions: ends.len() as u32 },
            None => no_topic(&topic),
        },
        Request::GetOffsetBounds { topic, partition } => {
            with_end(state, &topic, partition, |end| Response::OffsetBounds { earliest: end, latest: end })
        }
        Request::Consume { topic, partition, .. } => {
            with_end(state, &topic, partition, |_| Response::Messages { messages: Vec::new() })
        }
        Request::InitProducerId { producer_id } => {
            let (producer_id, producer_epoch) = state.init_producer(producer_id);
            Response::ProducerIdInitialized { producer_id, producer_epoch }
        }
        Request::CommitOffset { consumer_group, topic, partition, offset } => {
            state.offsets().insert((consumer_group, topic, partition), offset);
            Response::OffsetCommitted
        }
        Request::GetOffset { consumer_group, topic, partition } => {
            Response::Offset { offset: state.offsets().get(&(consumer_group, topic, partition)).copied() }
        }
        Request::DeleteGroup { consumer_group } => {
            state.offsets().retain(|(group, _, _), _| *group != consumer_group);
            Response::GroupDeleted
        }
        _ => error("INVALID_REQUEST: not a request that a source needs"),
    }
}

fn with_end(state: &State, topic: &str, partition: u32, then: impl FnOnce(u64) -> Response) -> Response {
    let Some(ends) = state.topic(topic) else { return no_topic(topic) };
    end(&ends, partition).map_or_else(|| no_partition(topic, partition), then)
}

fn no_topic(topic: &str) -> Response {
    error(&format!("Topic not found: {topic}"))
}

fn no_partition(topic: &str, partition: u32) -> Response {
    error(&format!("Partition {partition} not found for topic {topic}"))
}

fn error(message: &str) -> Response {
    Response::Error { message: message.to_owned() }
}
