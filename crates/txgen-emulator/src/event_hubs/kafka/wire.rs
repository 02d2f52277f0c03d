//! Kafka's frames: which requests are taken in which versions, and their shape.
//!
//! The messages are the library's. It makes room for as many elements as an array claims to have, so each request is
//! walked over first: no array claims more elements than there are bytes left.
//! Source: <https://kafka.apache.org/protocol>; the versions are those that clients report of the service.

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use kafka_protocol::messages::ApiKey;
use kafka_protocol::protocol::{Decodable, Encodable};

/// The largest request, in bytes: a batch for several partitions, each of a mebibyte at most.
pub(super) const MAX_FRAME: usize = 8 * 1024 * 1024;
/// The largest request of a client that has not said who it is, in bytes.
pub(super) const MAX_FRAME_OF_STRANGERS: usize = 64 * 1024;

/// What a client sent is not a request that is taken here: the connection gets closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Broken(pub(super) String);

/// The shape of a field, as far as it says how long it is.
enum Shape {
    /// So many bytes.
    Fixed(usize),
    /// A length of two bytes, and text.
    Text,
    /// A length of four bytes, and bytes.
    Bytes,
    /// A count of four bytes, and elements.
    Array(&'static [Shape]),
    /// From this version on.
    Since(i16, &'static Shape),
    /// Up to this version.
    Until(i16, &'static Shape),
}

/// A kind of request.
pub(super) struct Api {
    pub(super) key: ApiKey,
    pub(super) min_version: i16,
    pub(super) max_version: i16,
    shape: &'static [Shape],
}

use Shape::{Array, Fixed, Since, Text, Until};

const fn api(key: ApiKey, min_version: i16, max_version: i16, shape: &'static [Shape]) -> Api {
    Api { key, min_version, max_version, shape }
}

/// Every kind of request that is taken.
pub(super) const APIS: [Api; 16] = [
    api(ApiKey::Produce, 3, 7, &[Text, Fixed(2), Fixed(4), Array(&[Text, Array(&[Fixed(4), Shape::Bytes])])]),
    api(
        ApiKey::Fetch,
        4,
        6,
        &[
            Fixed(4),
            Fixed(4),
            Fixed(4),
            Fixed(4),
            Fixed(1),
            Array(&[Text, Array(&[Fixed(4), Fixed(8), Since(5, &Fixed(8)), Fixed(4)])]),
        ],
    ),
    api(ApiKey::ListOffsets, 1, 3, &[Fixed(4), Since(2, &Fixed(1)), Array(&[Text, Array(&[Fixed(4), Fixed(8)])])]),
    api(ApiKey::Metadata, 0, 5, &[Array(&[Text]), Since(4, &Fixed(1))]),
    api(
        ApiKey::OffsetCommit,
        2,
        6,
        &[
            Text,
            Fixed(4),
            Text,
            Until(4, &Fixed(8)),
            Array(&[Text, Array(&[Fixed(4), Fixed(8), Since(6, &Fixed(4)), Text])]),
        ],
    ),
    api(ApiKey::OffsetFetch, 1, 5, &[Text, Array(&[Text, Array(&[Fixed(4)])])]),
    api(ApiKey::FindCoordinator, 0, 2, &[Text, Since(1, &Fixed(1))]),
    api(ApiKey::JoinGroup, 0, 4, &[Text, Fixed(4), Since(1, &Fixed(4)), Text, Text, Array(&[Text, Shape::Bytes])]),
    api(ApiKey::Heartbeat, 0, 2, &[Text, Fixed(4), Text]),
    api(ApiKey::LeaveGroup, 0, 2, &[Text, Text]),
    api(ApiKey::SyncGroup, 0, 2, &[Text, Fixed(4), Text, Array(&[Text, Shape::Bytes])]),
    api(ApiKey::SaslHandshake, 1, 1, &[Text]),
    // Newer ones have a flexible body, which says nothing that is needed.
    api(ApiKey::ApiVersions, 0, 3, &[]),
    api(
        ApiKey::CreateTopics,
        2,
        4,
        &[
            Array(&[Text, Fixed(4), Fixed(2), Array(&[Fixed(4), Array(&[Fixed(4)])]), Array(&[Text, Text])]),
            Fixed(4),
            Fixed(1),
        ],
    ),
    api(ApiKey::InitProducerId, 0, 1, &[Text, Fixed(4)]),
    api(ApiKey::SaslAuthenticate, 0, 1, &[Shape::Bytes]),
];

/// A request.
pub(super) struct Request {
    pub(super) key: ApiKey,
    pub(super) version: i16,
    /// Whether the client speaks a version of ApiVersions that is not known here.
    pub(super) is_too_new: bool,
    correlation_id: i32,
    body: Bytes,
}

impl Request {
    /// Takes a frame, without its length, apart.
    pub(super) fn read(mut frame: Bytes) -> Result<Self, Broken> {
        let cut = || Broken("a request ends in its header".to_owned());
        let key = frame.try_get_i16().map_err(|_| cut())?;
        let version = frame.try_get_i16().map_err(|_| cut())?;
        let correlation_id = frame.try_get_i32().map_err(|_| cut())?;
        let api = APIS
            .iter()
            .find(|api| api.key as i16 == key)
            .ok_or_else(|| Broken(format!("requests with the API key {key} are not supported")))?;
        let is_too_new = api.key == ApiKey::ApiVersions && version > api.max_version;
        if !is_too_new && !(api.min_version..=api.max_version).contains(&version) {
            return Err(Broken(format!(
                "version {version} of {:?} is not supported; {} to {} are",
                api.key, api.min_version, api.max_version
            )));
        }
        if api.key != ApiKey::ApiVersions {
            let mut left = &frame[..];
            walk(&[Text], version, &mut left)?;
            let header = frame.len() - left.len();
            walk(api.shape, version, &mut left)?;
            frame.advance(header);
        }
        Ok(Self { key: api.key, version, is_too_new, correlation_id, body: frame })
    }

    /// The request's body.
    pub(super) fn body<T: Decodable>(&self) -> Result<T, Broken> {
        T::decode(&mut self.body.clone(), self.version)
            .map_err(|error| Broken(format!("{:?} version {}: {error}", self.key, self.version)))
    }

    /// The frame that answers it.
    pub(super) fn answer(&self, body: &impl Encodable) -> Result<BytesMut, Broken> {
        self.answer_as(self.version, body)
    }

    /// The frame that answers it, in another version.
    pub(super) fn answer_as(&self, version: i16, body: &impl Encodable) -> Result<BytesMut, Broken> {
        let mut frame = BytesMut::new();
        frame.put_i32(0);
        frame.put_i32(self.correlation_id);
        body.encode(&mut frame, version)
            .map_err(|error| Broken(format!("the answer to {:?} version {version}: {error}", self.key)))?;
        let size = i32::try_from(frame.len() - 4).unwrap_or(i32::MAX);
        frame[..4].copy_from_slice(&size.to_be_bytes());
        Ok(frame)
    }
}

/// Walks over fields, and fails where one is longer than what is left.
fn walk(shapes: &[Shape], version: i16, left: &mut &[u8]) -> Result<(), Broken> {
    let cut = || Broken("a request ends in the middle of a field".to_owned());
    for shape in shapes {
        let length = match shape {
            Fixed(length) => *length,
            // A negative length is null.
            Text => usize::try_from(left.try_get_i16().map_err(|_| cut())?).unwrap_or(0),
            Shape::Bytes => usize::try_from(left.try_get_i32().map_err(|_| cut())?).unwrap_or(0),
            Since(since, shape) if version >= *since => {
                walk(std::slice::from_ref(*shape), version, left)?;
                0
            }
            Until(until, shape) if version <= *until => {
                walk(std::slice::from_ref(*shape), version, left)?;
                0
            }
            Since(..) | Until(..) => 0,
            Array(element) => {
                let count = usize::try_from(left.try_get_i32().map_err(|_| cut())?).unwrap_or(0);
                // An element takes two bytes at least.
                if count > left.len() / 2 {
                    return Err(cut());
                }
                for _ in 0..count {
                    walk(element, version, left)?;
                }
                0
            }
        };
        *left = left.get(length..).ok_or_else(cut)?;
    }
    Ok(())
}

/// The next frame that is whole in `input`, without its length.
pub(super) fn split(input: &mut BytesMut, limit: usize) -> Result<Option<Bytes>, Broken> {
    let Some(size) = input.first_chunk::<4>().map(|size| i32::from_be_bytes(*size)) else { return Ok(None) };
    let size = usize::try_from(size).ok().filter(|size| *size <= limit).ok_or_else(|| {
        Broken(format!("a request of {size} bytes is more than the {limit} that are taken, or not one of Kafka's"))
    })?;
    if input.len() < 4 + size {
        return Ok(None);
    }
    input.advance(4);
    Ok(Some(input.split_to(size).freeze()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use kafka_protocol::messages::{MetadataRequest, TopicName};
    use kafka_protocol::protocol::StrBytes;

    fn frame(key: ApiKey, version: i16, body: &[u8]) -> Bytes {
        let mut frame = BytesMut::new();
        frame.put_i16(key as i16);
        frame.put_i16(version);
        frame.put_i32(7);
        frame.put_i16(-1);
        frame.put_slice(body);
        frame.freeze()
    }

    #[test]
    fn a_request_is_read_behind_its_header() {
        let request = Request::read(frame(ApiKey::Metadata, 4, b"\0\0\0\x01\0\x03hub\x01")).unwrap();
        let topics = request.body::<MetadataRequest>().unwrap().topics.unwrap();
        assert_eq!(topics[0].name, Some(TopicName(StrBytes::from_static_str("hub"))));
    }

    #[test]
    fn an_array_that_claims_more_than_there_is_is_refused_before_room_is_made_for_it() {
        let claimed = i32::MAX.to_be_bytes();
        assert!(Request::read(frame(ApiKey::Metadata, 1, &claimed)).is_err());
    }

    #[test]
    fn unknown_requests_and_versions_are_refused_and_newer_api_versions_told_apart() {
        assert!(Request::read(frame(ApiKey::Metadata, 12, &[])).is_err());
        assert!(Request::read(frame(ApiKey::DeleteTopics, 1, &[])).is_err());
        assert!(Request::read(frame(ApiKey::ApiVersions, 4, &[])).unwrap().is_too_new);
        assert!(Request::read(Bytes::from_static(b"GET / HT")).is_err());
    }

    #[test]
    fn frames_are_split_where_they_end_and_boundless_ones_refused() {
        let mut input = BytesMut::from(&[0, 0, 0, 2, 1, 2, 0, 0, 0, 9, 3][..]);
        assert_eq!(split(&mut input, 100).unwrap().as_deref(), Some(&[1, 2][..]));
        assert_eq!(split(&mut input, 100), Ok(None));
        assert!(split(&mut input, 8).is_err());
        assert!(split(&mut BytesMut::from(&[0xff; 4][..]), 100).is_err());
    }
}
