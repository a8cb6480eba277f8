"""An explicit list of conda packages: each looked up in its own channel's repodata. Nothing is solved."""

from collections import defaultdict
from collections.abc import Mapping, Sequence

from rattler import Channel, Gateway, MatchSpec, RepoDataRecord, Subdir

from ansible_collections.condafleet.core.plugins.module_utils.host_auth import Hosts
from ansible_collections.condafleet.core.plugins.module_utils.spec_explicit import parse_entry
from ansible_collections.condafleet.core.plugins.module_utils.url_secrets import masked
from condafleet.errors import LockError
from condafleet.lock.credentials import refusal
from condafleet.lock.sources import Sources

_NOTHING = "Nothing was written."


async def look_up(
    environment: str,
    target: str,
    platform: str,
    entries: Sequence[str],
    sources: Sources,
    gateway: Gateway,
    hosts: Hosts,
) -> list[RepoDataRecord]:
    """A record for each entry. LockError for one that its channel has not, or has with another hash."""
    wanted = [parse_entry(environment, entry) for entry in entries]
    foreign = next((one for one in wanted if one["subdir"] not in (platform, "noarch")), None)
    if foreign:
        raise LockError(
            f"environments_list: {environment}: explicit list: {foreign['filename']} is for {foreign['subdir']}, and "
            f"target {target!r} is {platform}. Accepted: a list for one platform. Next: give the target a list of its "
            f"own in target_specs. {_NOTHING}"
        )
    by_channel: dict[str, list[Mapping[str, str]]] = defaultdict(list)
    for one in wanted:
        by_channel[one["channel"]].append(one)
    found = []
    for channel, group in sorted(by_channel.items()):
        places = [channel] if sources.depot_url is None else sources.channels
        records = await _records(environment, places, platform, group, gateway, hosts)
        found += [_one(environment, one, records, sources) for one in group]
    return found


async def _records(
    environment: str,
    channels: Sequence[str],
    platform: str,
    group: Sequence[Mapping[str, str]],
    gateway: Gateway,
    hosts: Hosts,
) -> dict[tuple[str, str], RepoDataRecord]:
    """What the channels have of these names, by platform folder and file name."""
    names = sorted({one["name"] for one in group})
    try:
        answers = await gateway.query(
            [Channel(channel) for channel in channels],
            [Subdir(platform), Subdir("noarch")],
            [MatchSpec(name) for name in names],
            recursive=False,
            channel_relations="disabled",
        )
    except Exception as error:
        refused = refusal(str(error), hosts)
        if refused:
            raise refused from error
        raise LockError(
            f"environments_list: {environment}: explicit list: the channel "
            f"{masked(', '.join(channels))} can't be read: {masked(str(error))}. Accepted: channels "
            f"that can be reached. Next: correct the list, or declare a depot. {_NOTHING}"
        ) from error
    return {(str(record.subdir), str(record.file_name)): record for answer in answers for record in answer}


def _one(
    environment: str, one: Mapping[str, str], records: Mapping[tuple[str, str], RepoDataRecord], sources: Sources
) -> RepoDataRecord:
    where = f"environments_list: {environment}: explicit list: {one['subdir']}/{one['filename']}"
    record = records.get((one["subdir"], one["filename"]))
    if record is None:
        whose = "the depot" if sources.depot_url else one["channel"]
        raise LockError(
            f"{where}: {whose} does not have it. Accepted: packages that are there. Next: write the list again from an "
            f"environment as it should be. {_NOTHING}"
        )
    for kind, given, known in (("md5", one["md5"], record.md5), ("sha256", one["sha256"], record.sha256)):
        if given and known and known.hex() != given:
            raise LockError(
                f"{where}: the list says {kind} {given}, and the channel {known.hex()}: it is another file. Accepted: "
                f"the file that the list means. Next: find out which is right, before anything else. {_NOTHING}"
            )
    hashed = one["md5"] or one["sha256"]
    if sources.depot_url and not hashed:
        url = f"{one['channel']}/{one['subdir']}/{one['filename']}"
        if sources.canonical(str(record.url)) != url:
            raise LockError(
                f"{where}: it has no hash, and its URL is not one of the depot's, so the depot's file of that name may "
                "be another. Accepted: lists with #md5 or #sha256. Next: write the list by `conda list --explicit "
                f"--md5`. {_NOTHING}"
            )
    return record
