//! Which Rivven topic each source topic goes to, and the lanes of each.

use std::collections::HashMap;
use std::sync::Arc;

use super::queue::{Place, Queue};
use super::route::Shape;
use crate::error::{Error, Kind, Result};
use crate::record::Block;

/// A Rivven topic with its lanes.
#[derive(Debug)]
pub struct Destination {
    topic: Arc<str>,
    lanes_per_partition: u32,
    /// Its partitions.
    pub places: Vec<Arc<Place>>,
    /// The connection of each lane, `lanes_per_partition` for each partition. It never changes: a lane that
    /// moved could overtake what is still on its way over the connection it left.
    pub lanes: Vec<Arc<Queue>>,
}

impl Destination {
    /// Name of the Rivven topic.
    pub fn topic(&self) -> &str {
        &self.topic
    }

    /// Checks that one more route may share its lanes: one lane keeps the order of all records of a partition,
    /// several keep that of each key.
    fn admit(&self, lanes_per_partition: usize) -> Result<()> {
        let Self { topic, lanes_per_partition: lanes, .. } = self;
        if lanes_per_partition > 1 || *lanes == 1 {
            return Ok(());
        }
        let text = format!(
            "lanes_per_partition: got 1, expected more: topic {topic:?} has {lanes} for another route"
        );
        Err(Error::new(Kind::Config, text))
    }
}

/// All destinations and the routes to them.
#[derive(Debug, Default)]
pub struct Destinations {
    all: Vec<Destination>,
    /// Source topic -> (index in `all`, partitions used).
    routes: HashMap<Arc<str>, (usize, u32)>,
    places: usize,
}

impl Destinations {
    /// Adds a route, or widens one. `seat` gives the connection for one more lane.
    ///
    /// A topic gets as many lanes per partition as its first route asks for, except that the lanes of one topic
    /// do not outnumber `connections`: they would load some connections twice, and so be slower than fewer.
    pub fn add(
        &mut self,
        source_topic: &str,
        topic: &str,
        partitions: u32,
        lanes_per_partition: usize,
        connections: usize,
        mut seat: impl FnMut() -> Result<Arc<Queue>>,
    ) -> Result<()> {
        let known = self.all.iter().position(|destination| &*destination.topic == topic);
        if let Some((index, _)) = self.routes.get(source_topic).filter(|(index, _)| known != Some(*index)) {
            let text = format!("topic {source_topic:?} goes to {:?} already", self.all[*index].topic);
            return Err(Error::new(Kind::Config, text));
        }
        let index = if let Some(index) = known {
            self.all[index].admit(lanes_per_partition)?;
            index
        } else {
            let most = (connections / partitions as usize).max(1);
            let lanes_per_partition = lanes_per_partition.min(most) as u32;
            let topic = Arc::from(topic);
            self.all.push(Destination { topic, lanes_per_partition, places: vec![], lanes: vec![] });
            self.all.len() - 1
        };
        let destination = &mut self.all[index];
        for partition in destination.places.len() as u32..partitions {
            let seats: Vec<_> =
                (0..destination.lanes_per_partition).map(|_| seat()).collect::<Result<_>>()?;
            let place = Place::new(Arc::clone(&destination.topic), partition, self.places);
            destination.places.push(Arc::new(place));
            destination.lanes.extend(seats);
            self.places += 1;
        }
        let route = self.routes.entry(Arc::from(source_topic)).or_insert((index, partitions));
        route.1 = route.1.max(partitions);
        Ok(())
    }

    /// Where `block` goes.
    pub fn find(&self, block: &Block) -> Result<(&Destination, Shape)> {
        self.route(&block.topic, block.partition)
    }

    /// Where the records of a source partition go.
    pub fn route(&self, topic: &Arc<str>, partition: i32) -> Result<(&Destination, Shape)> {
        let Some((index, partitions)) = self.routes.get(topic) else {
            let text = format!("no route for topic {topic:?}");
            return Err(Error::new(Kind::InvalidRequest, text).at(topic, partition, None));
        };
        let destination = &self.all[*index];
        Ok((destination, Shape { partitions: *partitions, lanes: destination.lanes_per_partition }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Adds a route with at most 8 connections.
    fn add(all: &mut Destinations, from: &str, to: &str, partitions: u32, lanes: usize) -> Result<()> {
        all.add(from, to, partitions, lanes, 8, || Ok(Arc::new(Queue::default())))
    }

    fn shape(all: &Destinations, source: &str) -> (String, Shape) {
        let block = Block {
            topic: Arc::from(source),
            partition: 0,
            leader_epoch: -1,
            next_offset: 0,
            chunks: Arc::from([]),
            records: Arc::default(),
            bytes: 0,
        };
        let (destination, shape) = all.find(&block).unwrap();
        assert_eq!(destination.lanes.len(), destination.places.len() * shape.lanes as usize);
        (destination.topic.to_string(), shape)
    }

    #[test]
    fn source_topics_share_the_lanes_of_their_destination() {
        let mut all = Destinations::default();
        add(&mut all, "a", "x", 2, 3).unwrap();
        add(&mut all, "b", "x", 2, 64).unwrap();
        add(&mut all, "c", "y", 4, 64).unwrap();
        assert_eq!(shape(&all, "a"), ("x".into(), Shape { partitions: 2, lanes: 3 }));
        assert_eq!(shape(&all, "b"), ("x".into(), Shape { partitions: 2, lanes: 3 }));
        assert_eq!(shape(&all, "c"), ("y".into(), Shape { partitions: 4, lanes: 2 }), "fits 8 connections");
        let numbers: Vec<_> = all.all.iter().flat_map(|to| &to.places).map(|place| place.number).collect();
        assert_eq!(numbers, [0, 1, 2, 3, 4, 5]);
    }

    #[test]
    fn a_wider_route_keeps_the_lanes_there_are() {
        let mut all = Destinations::default();
        add(&mut all, "a", "x", 2, 2).unwrap();
        let before: Vec<_> = all.all[0].lanes.clone();
        add(&mut all, "b", "x", 3, 2).unwrap();
        assert!(before.iter().zip(&all.all[0].lanes).all(|(old, new)| Arc::ptr_eq(old, new)));
        assert_eq!(shape(&all, "a").1, Shape { partitions: 2, lanes: 2 }, "keys stay in their partition");
        assert_eq!(shape(&all, "b").1, Shape { partitions: 3, lanes: 2 });
        add(&mut all, "a", "x", 3, 2).unwrap();
        assert_eq!((shape(&all, "a").1.partitions, all.all[0].lanes.len()), (3, 6));
    }

    #[test]
    fn a_route_that_would_lose_the_order_is_refused() {
        let mut all = Destinations::default();
        add(&mut all, "a", "x", 1, 2).unwrap();
        assert_eq!(add(&mut all, "a", "y", 1, 2).unwrap_err().kind, Kind::Config, "in two places");
        assert_eq!(add(&mut all, "b", "x", 1, 1).unwrap_err().kind, Kind::Config, "several lanes");
    }
}
