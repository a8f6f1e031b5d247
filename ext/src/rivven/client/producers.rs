//! Producer ids, which let rivvend refuse an older owner of the same id.

use std::time::Duration;

use rivven_protocol::{Request, Response};

use super::{unexpected, Client, Repeat};
use crate::error::{Error, Kind, Result};
use crate::rivven::connection::Connection;

/// rivvend ends a connection from an address that sends more than 10,000 requests in a second.
const FENCE_BURST: usize = 1_000;
const FENCE_PAUSE: Duration = Duration::from_millis(300);

impl Client {
    /// A new producer id (with None), or the next epoch of one: what older epochs still send is refused.
    ///
    /// An id that the broker does not know, because it was restarted, begins with epoch 0 again.
    pub fn init_producer(&self, id: Option<u64>) -> Result<(u64, u16)> {
        // Safe: an epoch that nobody heard of is one more that is refused.
        initialized(self.request(&Request::InitProducerId { producer_id: id }, Repeat::Safe)?)
    }

    /// Has everything refused that is sent from now on under the present epochs of `ids`.
    ///
    /// Of an id that the broker had forgotten, epoch 0 is refused; a higher one is not, but it can only begin
    /// with sequence 0.
    pub fn fence(&self, ids: &[u64]) -> Result<()> {
        for (count, id) in ids.iter().enumerate() {
            if count % FENCE_BURST == FENCE_BURST - 1 {
                std::thread::sleep(FENCE_PAUSE);
            }
            if self.init_producer(Some(*id))?.1 == 0 {
                // Epoch 0 may be the very one that is to be refused.
                self.init_producer(Some(*id))?;
            }
        }
        Ok(())
    }
}

/// The next epoch of `id`, over a connection of one's own. Does not retry; throttling is an error.
pub fn init_producer(connection: &mut Connection, id: u64) -> Result<u16> {
    match connection.call(&Request::InitProducerId { producer_id: Some(id) })? {
        Response::Throttled { .. } => Err(Error::new(Kind::Throttled, "too many requests")),
        response => initialized(response).map(|(_, epoch)| epoch),
    }
}

fn initialized(response: Response) -> Result<(u64, u16)> {
    match response {
        Response::ProducerIdInitialized { producer_id, producer_epoch } => Ok((producer_id, producer_epoch)),
        other => Err(unexpected(&other)),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;
    use crate::rivven::mock::{broker, error, link, Reply};

    /// A client of a broker that answers with these epochs, in turn, and what it was asked.
    fn client(answers: Vec<Reply>) -> (Client, mpsc::Receiver<Option<u64>>) {
        let (asked, questions) = mpsc::channel();
        let mut answers = answers.into_iter();
        let address = broker(move |request| {
            let Request::InitProducerId { producer_id } = request else { return Reply::Hang };
            asked.send(producer_id).unwrap();
            answers.next().unwrap_or(Reply::Hang)
        });
        (Client::new(link(&address, 2)), questions)
    }

    fn epoch(producer_id: u64, producer_epoch: u16) -> Reply {
        Reply::Answer(Response::ProducerIdInitialized { producer_id, producer_epoch })
    }

    #[test]
    fn a_lost_answer_costs_an_epoch() {
        let (client, questions) = client(vec![Reply::Hang, epoch(5, 2)]);
        assert_eq!(client.init_producer(Some(5)).unwrap(), (5, 2));
        assert_eq!(questions.try_iter().collect::<Vec<_>>(), [Some(5), Some(5)]);
    }

    #[test]
    fn a_refusal_is_an_error_of_its_kind() {
        let (client, _questions) = client(vec![error("AUTHORIZATION_FAILED: no")]);
        assert_eq!(client.init_producer(None).unwrap_err().kind, Kind::Authorization);
    }

    #[test]
    fn an_id_that_was_forgotten_is_taken_past_epoch_0() {
        let (client, questions) = client(vec![epoch(1, 4), epoch(2, 0), epoch(2, 1)]);
        client.fence(&[1, 2]).unwrap();
        assert_eq!(questions.try_iter().collect::<Vec<_>>(), [Some(1), Some(2), Some(2)]);
    }

    #[test]
    fn over_a_connection_throttling_is_an_error() {
        let throttled =
            Response::Throttled { throttle_time_ms: 5, quota_type: String::new(), entity: String::new() };
        let mut answers = vec![Reply::Answer(throttled), epoch(9, 3)].into_iter();
        let address = broker(move |_| answers.next().unwrap_or(Reply::Hang));
        let mut connection = Connection::open(&address, &link(&address, 0).options, None).unwrap();
        assert_eq!(init_producer(&mut connection, 9).unwrap_err().kind, Kind::Throttled);
        assert_eq!(init_producer(&mut connection, 9).unwrap(), 3);
        assert_eq!(init_producer(&mut connection, 9).unwrap_err().kind, Kind::Connect);
    }
}
