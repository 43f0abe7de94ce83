"""Runs of plain QoS 0 publishes are routed at once; nobody must be able to tell."""

from hypothesis import given, settings
from hypothesis import strategies as st

from mombroker.mqtt import Publish, encode
from mombroker.mqtt.topics import matches

from .world import World, properties

TOPICS = ("a", "a/b", "b", "$x")
FILTERS = ("#", "a", "a/#", "+/b", "$x", "$share/g/a")
VERSIONS = st.sampled_from([3, 4, 5])
SUBSCRIBER = st.tuples(
    VERSIONS,
    st.dictionaries(
        st.sampled_from(FILTERS), st.tuples(st.integers(0, 2), st.booleans(), st.integers(0, 2)), max_size=3
    ),
    st.sampled_from([0, 2]),
    st.booleans(),
)
PUBLISHED = st.tuples(st.sampled_from(TOPICS), st.sampled_from([0, 0, 0, 0, 1, 2]), st.booleans(), st.booleans())


@settings(max_examples=200)
@given(
    st.lists(SUBSCRIBER, min_size=1, max_size=4),
    VERSIONS,
    st.lists(st.tuples(PUBLISHED, st.integers(1, 4)), max_size=10),
    st.lists(st.integers(1, 60), max_size=5),
    st.booleans(),
)
def test_every_subscriber_gets_exactly_its_messages_in_order(
    subscribers: list[tuple[int, dict[str, tuple[int, bool, int]], int, bool]],
    version: int,
    published: list[tuple[tuple[str, int, bool, bool], int]],
    cuts: list[int],
    publisher_listens: bool,
) -> None:
    world = World()
    readers = []
    for index, (reader_version, wanted, aliases, lasting) in enumerate(subscribers):
        reader = world.client(f"r{index}", reader_version)
        if reader_version == 5:
            reader.connect(clean=False, topic_alias_maximum=aliases, session_expiry=60 if lasting else 0)
        else:
            reader.connect(clean=not lasting)
        for filter, (qos, no_local, number) in wanted.items():
            new = reader_version == 5 and not filter.startswith("$share")
            reader.subscribe(filter, qos=qos, id=number if new else 0, no_local=no_local and new)
        readers.append((reader, wanted, reader_version))
    if publisher_listens and readers:
        publisher, own = readers[0][0], True
    else:
        publisher, own = world.client("pub", version), False
        publisher.connect()
    publisher.auto = False  # nothing may come between the pieces of a packet
    stream = b""
    messages: list[tuple[str, str, int]] = []
    for (topic, qos, with_property, retain), repeats in published:
        for _ in range(repeats):
            text = str(len(messages))
            messages.append((topic, text, qos))
            given_properties = properties(content_type="c") if with_property else None
            packet = Publish.create(
                topic, text.encode(), qos, retain, False, len(messages) if qos else 0, given_properties
            )
            stream += encode(packet, publisher.version)
    for cut in cuts:
        publisher.send(stream[:cut])
        stream = stream[cut:]
    publisher.send(stream)
    group: list[str] = []
    for reader, wanted, reader_version in readers:
        plain = [
            (filter, qos)
            for filter, (qos, no_local, _) in wanted.items()
            if not filter.startswith("$share")
            and not (no_local and reader_version == 5 and own and reader is publisher)
        ]
        shared = "$share/g/a" in wanted
        for level in (0, 1, 2):
            expected = [
                text
                for topic, text, qos in messages
                if any(matches(filter, topic) for filter, _ in plain)
                and min(qos, max(granted for filter, granted in plain if matches(filter, topic))) == level
            ]
            got = [item.payload.decode() for item in reader.got if item.qos == level]
            if shared:
                extra = list(got)
                for text in expected:
                    extra.remove(text)
                group += extra
            else:
                assert got == expected
        assert all(
            {text: topic for topic, text, _ in messages}[item.payload.decode()] == item.topic for item in reader.got
        )
    if any("$share/g/a" in wanted for _, wanted, _ in readers):
        assert sorted(group) == sorted(text for topic, text, _ in messages if topic == "a")
