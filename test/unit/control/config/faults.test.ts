import assert from "node:assert/strict";
import test from "node:test";
import { readAllowedCpus } from "../../../../control/config/allowed-cpus.js";
import { temporaryFolder } from "../../../support/undo.js";
import { loadFaults, unmark, writeFiles, yaml } from "./fixture.js";

const CHAP = 'auth: { chap: [{ user: alice, secret: "initiator secret" }] }';
const unit = (text: string) => yaml({ units: `{ vm0: ${text} }` });
/** One that there is. */
const CPU = Number.parseInt(readAllowedCpus() ?? "", 10);
const session = (text: string) => yaml({ target: `session: { ${text} }` });

/** Each document has one fault, at the mark. */
// biome-ignore format: one fault a line
const faults: readonly (readonly [
  title: string,
  text: string,
  path: string,
  message: RegExp,
  files?: Readonly<Record<string, string>>,
])[] = [
  // The document as a whole, and its sections.
  ["an empty document", "<!>", "", /^is empty, not a mapping: the keys here are portalGroups, /],
  ["a document that is a list", "<!>- 1", "", /^is a list, not a mapping/],
  ["no portal groups", "<!>targets: []", "portalGroups", /^is missing$/],
  ["no targets", '<!>portalGroups: [{ tag: 1, portals: ["127.0.0.1"] }]', "targets", /^is missing$/],
  ["an unknown section", yaml({ more: "<!>unit: {}" }), "unit", /^is unknown: did you mean units\?$/],
  ["an empty section", yaml({ more: "<!>http:" }), "http", /^is empty, not a mapping: the keys here are listen, hosts, tls$/],
  ["a list that is none", yaml({ groups: "<!>{ tag: 1 }" }), "portalGroups", /^is a mapping, not a list/],

  // Portal groups and addresses.
  ["no portal group", yaml({ groups: "<!>[]" }), "portalGroups", /^is empty: /],
  ["a tag too large", yaml({ groups: '[{ tag: 1, portals: ["[::1]"] }, { tag: <!>65536, portals: [a] }]' }), "portalGroups[1].tag", /^is 65536: write a whole number, 0 to 65535$/],
  ["a tag twice", yaml({ groups: '[{ tag: 1, portals: ["[::1]"] }, { tag: <!>1, portals: [a] }]' }), "portalGroups[1].tag", /^repeats the tag 1, which portalGroups\[0\]\.tag has already/],
  ["tags that SCSI cannot tell apart", yaml({ groups: '[{ tag: 0, portals: ["[::1]"] }, { tag: <!>65535, portals: [a] }]', tags: "[0]" }), "portalGroups[1].tag", /^repeats the tag 0 or 65535 \(SCSI has one number for both\), which portalGroups\[0\]\.tag has already/],
  ["a group without portals", yaml({ groups: "[{ tag: 1, portals: <!>[] }]" }), "portalGroups[0].portals", /^is empty: list at least one portal/],
  ["a portal twice", yaml({ groups: '[{ tag: 1, portals: ["[::1]:3260", <!>"[0:0::1]"] }]' }), "portalGroups[0].portals[1]", /^repeats \[::1\]:3260, which portalGroups\[0\]\.portals\[0\] has already/],
  ["a portal in two groups", yaml({ groups: "[{ tag: 1, portals: [Host] }, { tag: 2, portals: [<!>host] }]" }), "portalGroups[1].portals[0]", /^repeats host:3260/],
  ["a portal beside the wildcard of its family", yaml({ groups: '[{ tag: 1, portals: ["0.0.0.0:3260", "[::1]:3260", <!>"127.0.0.1:3260"] }]' }), "portalGroups[0].portals[2]", /^cannot listen beside portalGroups\[0\]\.portals\[0\]: 0\.0\.0\.0:3260 is every address/],
  ["the wildcard beside a portal of its family", yaml({ groups: '[{ tag: 1, portals: ["[::1]", <!>"[::]", "0.0.0.0", "127.0.0.1:3261"] }]' }), "portalGroups[0].portals[1]", /^cannot listen beside portalGroups\[0\]\.portals\[0\]: \[::\]:3260 is every address/],
  ["HTTP on a port alone", yaml({ more: "http: <!>9260" }), "http", /^is a number, not a mapping: the keys here are listen, hosts, tls$/],
  ["a name of this server with a port", yaml({ more: 'http: { listen: "127.0.0.1", hosts: [<!>"san:9260"] }' }), "http.hosts[0]", /^is "san:9260": write the name alone, as san$/],
  ["HTTP on a portal", yaml({ more: 'http: { listen: <!>"127.0.0.1:3260" }' }), "http.listen", /^repeats 127\.0\.0\.1:3260/],
  ["a portal that is a port", yaml({ groups: "[{ tag: 1, portals: [<!>3260] }]" }), "portalGroups[0].portals[0]", /^is an unquoted number, not text: put it in quotes$/],
  ["IPv6 without brackets", yaml({ groups: '[{ tag: 1, portals: [<!>"::1:3260"] }]' }), "portalGroups[0].portals[0]", /without brackets: write it as \[::1\]:3260$/],
  ["a port too large", yaml({ groups: '[{ tag: 1, portals: [<!>"127.0.0.1:65536"] }]' }), "portalGroups[0].portals[0]", /^"65536" is not a port/],

  // Targets.
  ["no name", yaml().replace("name: iqn.2026-11.io.ringlun:vm\n    ", "<!>"), "targets[0].name", /^is missing$/],
  ["a name that is a number", yaml({ name: "<!>20261101" }), "targets[0].name", /^is an unquoted number/],
  ["a name of no known type", yaml({ name: "<!>iq.2026-11.io.ringlun" }), "targets[0].name", /begins with iqn\., eui\. or naa\.$/],
  ["a name too long", yaml({ name: `<!>iqn.2026-11.io.ringlun:${"x".repeat(201)}` }), "targets[0].name", /^is 224 bytes long: an iSCSI name has at most 223$/],
  ["a target twice", yaml({ more: "" }).replace("units:", "  - { name: <!>IQN.2026-11.io.ringlun:VM, portalGroups: [1] }\nunits:"), "targets[1].name", /^repeats the name iqn\.2026-11\.io\.ringlun:vm, which targets\[0\]\.name has already/],
  ["an unknown key of a target", yaml({ target: "<!>lun: { 0: vm0 }" }), "targets[0].lun", /^is unknown: did you mean luns\?$/],
  ["an unknown key that is like no other", yaml({ target: "<!>password: x" }), "targets[0].password", /^is unknown: the keys here are name, alias, portalGroups, session, pingInterval, scsiEvents, auth, luns, initiators, redirect$/],
  ["a ping interval that is no number", yaml({ target: "pingInterval: <!>10s" }), "targets[0].pingInterval", /^is text, not a number/],
  ["an empty alias", yaml({ target: 'alias: <!>""' }), "targets[0].alias", /^is empty text/],
  ["an alias with a line break", yaml({ target: 'alias: <!>"a\\nb"' }), "targets[0].alias", /control character/],
  ["an alias too long", yaml({ target: `alias: <!>${"\u00e4".repeat(128)}` }), "targets[0].alias", /^is 256 bytes long: at most 255/],
  ["no portal group listed", yaml({ tags: "<!>[]" }), "targets[0].portalGroups", /^is empty: /],
  ["a portal group twice", yaml({ tags: "[1, <!>1]" }), "targets[0].portalGroups[1]", /^repeats the portal group 1/],
  ["an unknown portal group", yaml({ tags: "[<!>2]" }), "targets[0].portalGroups[0]", /^is 2: no portal group has that tag; there are 1$/],

  // Session keys: kind and both ends of each range.
  ["an unknown session key", session("<!>maxConnection: 1"), "targets[0].session.maxConnection", /^is unknown/],
  ["a session key that is not negotiable", session("<!>sessionType: Normal"), "targets[0].session.sessionType", /^is unknown/],
  ["no connection", session("maxConnections: <!>0"), "targets[0].session.maxConnections", /1 to 65535$/],
  ["too many connections", session("maxConnections: <!>65536"), "targets[0].session.maxConnections", /1 to 65535$/],
  ["no R2T", session("maxOutstandingR2T: <!>0"), "targets[0].session.maxOutstandingR2T", /1 to 65535$/],
  ["segments too short", session("maxRecvDataSegmentLength: <!>511"), "targets[0].session.maxRecvDataSegmentLength", /512 to 16777215$/],
  ["segments too long", session("maxRecvDataSegmentLength: <!>16777216"), "targets[0].session.maxRecvDataSegmentLength", /512 to 16777215$/],
  ["bursts too long", session("maxBurstLength: <!>16777216"), "targets[0].session.maxBurstLength", /512 to 16777215$/],
  ["first bursts too short", session("firstBurstLength: <!>511"), "targets[0].session.firstBurstLength", /512 to 16777215$/],
  ["first bursts longer than bursts", session("maxBurstLength: 4096, firstBurstLength: <!>8192"), "targets[0].session.firstBurstLength", /^is 8192: it must not exceed maxBurstLength, 4096$/],
  ["a wait too long", session("defaultTime2Wait: <!>3601"), "targets[0].session.defaultTime2Wait", /0 to 3600$/],
  ["a negative retention", session("defaultTime2Retain: <!>-1"), "targets[0].session.defaultTime2Retain", /0 to 3600$/],
  ["error recovery level 3", session("errorRecoveryLevel: <!>3"), "targets[0].session.errorRecoveryLevel", /0 to 2$/],
  ["an integer that is none", session("errorRecoveryLevel: <!>1.5"), "targets[0].session.errorRecoveryLevel", /^is 1\.5: write a whole number/],
  ["an integer in quotes", session('errorRecoveryLevel: <!>"2"'), "targets[0].session.errorRecoveryLevel", /^is text, not a number: write 0 to 2, without quotes$/],
  ["a protocol level that is not served", session("iSCSIProtocolLevel: <!>3"), "targets[0].session.iSCSIProtocolLevel", /1 to 2$/],
  ["Yes for true", session("initialR2T: <!>Yes"), "targets[0].session.initialR2T", /^is text: write true or false$/],
  ["one digest without a list", session("headerDigest: <!>CRC32C"), "targets[0].session.headerDigest", /^is text, not a list/],
  ["no digest", session("dataDigest: <!>[]"), "targets[0].session.dataDigest", /^is empty/],
  ["an unknown digest", session("dataDigest: [<!>crc32c]"), "targets[0].session.dataDigest[0]", /^is "crc32c": write CRC32C or None$/],
  ["a digest twice", session("dataDigest: [None, CRC32C, <!>None]"), "targets[0].session.dataDigest[2]", /^repeats None/],
  ["an unknown kind of task reporting", session("taskReporting: [<!>RFC5048]"), "targets[0].session.taskReporting[0]", /write RFC3720, ResponseFence or FastAbort$/],

  ["task reporting that few initiators know", session("taskReporting: <!>[ResponseFence, FastAbort]"), "targets[0].session.taskReporting", /^lacks RFC3720/],

  // LUNs.
  ["LUNs in a list", yaml({ target: "luns: <!>[vm0]" }), "targets[0].luns", /^is a list, not a mapping: write LUN and unit, as \{ 0: vm0 \}$/],
  ["a LUN too large", yaml({ target: "luns: { 0: vm0, <!>16384: vm0 }" }), "targets[0].luns.16384", /^is no LUN: write a decimal number, 0 to 16383$/],
  ["a hexadecimal LUN", yaml({ target: "luns: { 0: vm0, <!>0x1: vm0 }" }), "targets[0].luns.0x1", /^is no LUN/],
  ["a LUN with a zero in front", yaml({ target: "luns: { 0: vm0, <!>01: vm0 }" }), "targets[0].luns.01", /^is no LUN/],
  ["a negative LUN", yaml({ target: "luns: { 0: vm0, <!>-1: vm0 }" }), "targets[0].luns.-1", /^is no LUN/],
  ["a LUN twice, once in quotes", yaml({ target: 'luns: { 0: vm0, <!>"0": vm0 }' }), "targets[0].luns.0", /^is there twice, first in line 5/],
  ["an unknown unit", yaml({ target: "luns: { 0: <!>vm1 }" }), "targets[0].luns.0", /^refers to "vm1": no unit has that name; there are vm0$/],
  ["an unknown unit, long form", yaml({ target: "luns: { 0: <!>{ unit: vm1 } }" }), "targets[0].luns.0", /^refers to "vm1"/],
  ["no unit", yaml({ target: "luns: { 0: <!>{ readOnly: true } }" }), "targets[0].luns.0.unit", /^is missing$/],
  ["a unit that is a number", yaml({ target: "luns: { 0: <!>5 }" }), "targets[0].luns.0", /^is an unquoted number/],

  // Initiators.
  ["an initiator's name", yaml({ target: "initiators: [{ name: <!>alice }]" }), "targets[0].initiators[0].name", /^is not an iSCSI name/],
  ["a pattern that fits no name", yaml({ target: 'initiators: [{ name: <!>"esx*" }]' }), "targets[0].initiators[0].name", /^fits no iSCSI name/],
  ["a pattern twice", yaml({ target: 'initiators: [{ name: "iqn.*" }, { name: <!>"IQN.*" }]' }), "targets[0].initiators[1].name", /^repeats the name iqn\.\*/],
  ["an initiator without a name", yaml({ target: "initiators: [<!>{ luns: { 0: vm0 } }]" }), "targets[0].initiators[0]", /^has neither name nor group/],
  ["an initiator with a name and a group", yaml({ target: "initiators: [{ name: iqn.2001-04.com.example, <!>group: g }]", more: "initiatorGroups: { g: [eui.0000000000000001] }" }), "targets[0].initiators[0].group", /^excludes name/],
  ["an unknown initiator group", yaml({ target: "initiators: [{ group: <!>cluste }]", more: "initiatorGroups: { cluster: [eui.0000000000000001] }" }), "targets[0].initiators[0].group", /^refers to "cluste": no initiator group has that name; there are cluster$/],
  ["an initiator alone and in a group", yaml({ target: "initiators: [{ name: eui.0000000000000001 }, { group: <!>g }]", more: "initiatorGroups: { g: [EUI.0000000000000001] }" }), "targets[0].initiators[1].group", /^repeats the name eui\.0000000000000001, which targets\[0\]\.initiators\[0\]\.name has already/],
  ["an initiator's portal group that is not the target's", yaml({ groups: '[{ tag: 1, portals: ["[::1]"] }, { tag: 2, portals: [a] }]', target: "initiators: [{ name: iqn.2001-04.com.example, portalGroups: [<!>2] }]" }), "targets[0].initiators[0].portalGroups[0]", /^is 2: the target is not in that portal group; there are 1$/],
  ["an initiator group without initiators", yaml({ more: "initiatorGroups: { g: <!>[] }" }), "initiatorGroups.g", /^is empty: list at least one initiator/],
  ["an initiator twice in its group", yaml({ more: "initiatorGroups: { g: [eui.0000000000000001, <!>EUI.0000000000000001] }" }), "initiatorGroups.g[1]", /^repeats the name eui/],
  ["a group that is a number", yaml({ more: "initiatorGroups: { <!>5: [eui.0000000000000001] }" }), "initiatorGroups.5", /^is not text/],
  ["a unit's portal group that is not there", yaml({ units: "{ vm0: { null: true, size: 1GiB, access: { <!>2: standby } } }" }), "units.vm0.access.2", /^is 2: no portal group has that tag; there are 1$/],
  ["a unit's portal group that is no tag", yaml({ units: "{ vm0: { null: true, size: 1GiB, access: { <!>first: standby } } }" }), "units.vm0.access.first", /^is no portal group: write its tag/],
  ["an access state that is none", yaml({ groups: '[{ tag: 1, portals: ["[::1]"], access: <!>offline }]' }), "portalGroups[0].access", /^is "offline": write optimized, non-optimized, standby, unavailable or transitioning$/],
  ["a unit's access state that is none", yaml({ units: "{ vm0: { null: true, size: 1GiB, access: { 1: <!>active } } }" }), "units.vm0.access.1", /^is "active": write optimized/],
  ["an initiator twice", yaml({ target: "initiators: [{ name: iqn.2001-04.com.example }, { name: <!>iqn.2001-04.com.EXAMPLE }]" }), "targets[0].initiators[1].name", /^repeats the name iqn\.2001-04\.com\.example/],
  ["an initiator's unknown unit", yaml({ target: "initiators: [{ name: iqn.2001-04.com.example, luns: { 0: <!>x } }]" }), "targets[0].initiators[0].luns.0", /^refers to "x"/],

  // Authentication.
  ["auth without users", yaml({ target: "auth: <!>{}" }), "targets[0].auth.chap", /^is missing$/],
  ["auth with no user", yaml({ target: "auth: { chap: <!>[] }" }), "targets[0].auth.chap", /^is empty: list at least one user/],
  ["a user that is a number", yaml({ target: 'auth: { chap: [{ user: <!>5, secret: "123456789012" }] }' }), "targets[0].auth.chap[0].user", /^is an unquoted number, not text: put it in quotes$/],
  ["a secret that is a number", yaml({ target: "auth: { chap: [{ user: a, secret: <!>123456789012 }] }" }), "targets[0].auth.chap[0].secret", /^is an unquoted number, not text: put it in quotes$/],
  ["a user twice", yaml({ target: 'auth: { chap: [{ user: a, secret: "123456789012" }, { user: <!>a, secret: "210987654321" }] }' }), "targets[0].auth.chap[1].user", /^repeats the user "a"/],
  ["no secret", yaml({ target: "auth: { chap: [<!>{ user: a }] }" }), "targets[0].auth.chap[0]", /^has no secret/],
  ["two secrets", yaml({ target: 'auth: { chap: [{ user: a, secret: "123456789012", <!>secretFile: s }] }' }), "targets[0].auth.chap[0].secretFile", /^excludes secret/],
  ["a secret of 11 bytes", yaml({ target: 'auth: { chap: [{ user: a, secret: <!>"12345678901" }] }' }), "targets[0].auth.chap[0].secret", /^is 11 bytes long: a CHAP secret has at least 12$/],
  ["a secret in a file, of 11 bytes and a line break", yaml({ target: "auth: { chap: [{ user: a, secretFile: <!>s }] }" }), "targets[0].auth.chap[0].secretFile", /^is 11 bytes long/, { s: "12345678901\r\n" }],
  ["a secret's file that is not there", yaml({ target: "auth: { chap: [{ user: a, secretFile: <!>s }] }" }), "targets[0].auth.chap[0].secretFile", /^names .*\/s, which cannot be read: ENOENT: no such file or directory$/],
  ["a secret's file that is a folder", yaml({ target: "auth: { chap: [{ user: a, secretFile: <!>s }] }" }), "targets[0].auth.chap[0].secretFile", /is not a regular file$/, { "s/": "" }],
  ["a secret's file that is too large", yaml({ target: "auth: { chap: [{ user: a, secretFile: <!>s }] }" }), "targets[0].auth.chap[0].secretFile", /holds 1025 bytes/, { s: "x".repeat(1025) }],
  ["one secret in both directions", yaml({ target: `${CHAP.slice(0, -2)}, mutual: { user: t, secret: <!>initiator secret } }` }), "targets[0].auth.mutual.secret", /^is also the secret of an initiator \(targets\[0\]\.auth\.chap\[0\]\.secret\)/],
  ["one secret in both directions, far apart and in a file", yaml({ target: CHAP, more: 'discovery: { auth: { chap: [{ user: d, secret: "discovery secret" }], mutual: { user: t, secretFile: <!>s } } }' }), "discovery.auth.mutual.secretFile", /^is also the secret of an initiator \(targets\[0\]/, { s: "initiator secret\n" }],

  // Redirection.
  ["a redirection without address", yaml({ target: "redirect: <!>{}" }), "targets[0].redirect", /^has neither to nor balance/],
  ["a redirection to a list of nothing", yaml({ target: "redirect: { to: <!>[] }" }), "targets[0].redirect.to", /^is empty: list at least one address$/],
  ["a redirection two ways", yaml({ target: "redirect: { to: 192.0.2.7, <!>balance: sessions }" }), "targets[0].redirect.balance", /^excludes to/],
  ["a balance of something else", yaml({ target: "redirect: { balance: <!>bytes }" }), "targets[0].redirect.balance", /^is "bytes": write sessions$/],
  ["a balance for good", yaml({ target: "redirect: { balance: sessions, <!>permanent: true }" }), "targets[0].redirect.permanent", /^excludes balance/],
  ["a redirection to nowhere", yaml({ target: "redirect: { to: <!>0.0.0.0 }" }), "targets[0].redirect.to", /^is the wildcard address/],
  ["a redirection to a link of ours", yaml({ target: 'redirect: { to: <!>"[fe80::1%eth0]" }' }), "targets[0].redirect.to", /^has a zone/],
  ["a redirection to itself", yaml({ target: "redirect: { to: <!>127.0.0.1 }" }), "targets[0].redirect.to", /^leads back to this target/],
  ["a redirection to elsewhere and itself", yaml({ target: "redirect: { to: <!>[192.0.2.7, 127.0.0.1] }" }), "targets[0].redirect.to", /^leads back to this target/],
  ["a redirection of a portal group to itself", yaml({ groups: '[{ tag: 1, portals: ["127.0.0.1", "[::1]"], redirect: { to: <!>"[::1]" } }]' }), "portalGroups[0].redirect.to", /^leads back to this portal group/],
  ["a redirection of a portal group to nowhere", yaml({ groups: '[{ tag: 1, portals: ["127.0.0.1"], redirect: { to: ["[::1]", <!>"[::]"] } }]' }), "portalGroups[0].redirect.to[1]", /^is the wildcard address/],

  // Units.
  ["a unit named by a number", yaml({ target: "", units: "{ <!>5: { null: true, size: 1GiB } }" }), "units.5", /^is not text: put the name of the unit in quotes$/],
  ["a unit without a name", yaml({ target: "", units: '{ <!>"": { null: true, size: 1GiB } }' }), 'units[""]', /^is no name for a unit/],
  ["a unit twice", yaml({ units: "\n  vm0: { null: true, size: 1GiB }\n  <!>vm0: { file: x }" }), "units.vm0", /^is there twice, first in line 7: remove one$/],
  ["a unit made of nothing", unit("<!>{ size: 1GiB }"), "units.vm0", /^has neither file nor null/],
  ["a unit made of both", unit("{ file: vm0.img, size: 1GiB, <!>null: true }"), "units.vm0.null", /^excludes file/],
  ["null: false", unit("{ null: <!>false, size: 1GiB }"), "units.vm0.null", /^can only be true/],
  ["a null unit with a threshold", unit("{ null: true, size: 1GiB, <!>thinThreshold: 1MiB }"), "units.vm0.thinThreshold", /^needs a file/],
  ["a null unit without a size", unit("<!>{ null: true }"), "units.vm0", /^has no size/],
  ["a file that does not exist, and no size", unit("{ file: <!>vm0.img }"), "units.vm0.file", /^names .*\/vm0\.img, which does not exist: correct it, or give a size/],
  ["a read-only file that does not exist", unit("{ file: <!>vm0.img, size: 1GiB, readOnly: true }"), "units.vm0.file", /a read-only unit needs its file$/],
  ["a file in a folder that does not exist", unit("{ file: <!>no/vm0.img, size: 1GiB }"), "units.vm0.file", /cannot be reached: ENOENT: no such file or directory$/],
  ["a file that is a folder", unit("{ file: <!>f, size: 1GiB }"), "units.vm0.file", /neither a regular file nor a block device$/, { "f/": "" }],
  ["a file that is a character device", unit("{ file: <!>/dev/null, size: 1GiB }"), "units.vm0.file", /neither a regular file nor a block device$/],
  ["a file of no whole number of blocks", unit("{ file: <!>f }"), "units.vm0.file", /holds 513 bytes: not a multiple of the block length, 512/, { f: "x".repeat(513) }],
  ["an empty file, and no size", unit("{ file: <!>f }"), "units.vm0.file", /holds 0 bytes/, { f: "" }],
  ["more than a read-only file holds", unit("{ file: f, readOnly: true, size: <!>1024 }"), "units.vm0.size", /^exceeds the 512 bytes/, { f: "x".repeat(512) }],
  ["one file in two units", yaml({ units: "{ vm0: { file: f }, vm1: { file: <!>././f } }" }), "units.vm1.file", /^repeats the file .*\/f, which units\.vm0\.file has already/, { f: "x".repeat(512) }],
  ["one file to be made in two units", yaml({ units: "{ vm0: { file: d/f, size: 512 }, vm1: { file: <!>d/../d/f, size: 512 } }" }), "units.vm1.file", /^repeats the file/, { "d/": "" }],
  ["the configuration itself", unit("{ file: <!>ringlun.yaml, size: 1GiB }"), "units.vm0.file", /^names .*\/ringlun\.yaml, which is the configuration: it cannot be a unit$/],
  ["a file of secrets", yaml({ target: "auth: { chap: [{ user: a, secretFile: s }] }", units: "{ vm0: { file: <!>./s, size: 1GiB } }" }), "units.vm0.file", /which is a secretFile/, { s: "initiator secret\n" }],
  ["a file in the state directory", unit("{ file: <!>ringlun.yaml.state/vm0.img, size: 1GiB }"), "units.vm0.file", /which is in the state directory/, { "ringlun.yaml.state/": "" }],
  ["a file in another state directory", yaml({ units: "{ vm0: { file: <!>s/d/../vm0.img, size: 1GiB } }", more: "stateDir: s" }), "units.vm0.file", /which is in the state directory/, { "s/": "" }],
  ["a size of no whole number of blocks", unit("{ null: true, size: <!>1000 }"), "units.vm0.size", /^is 1000 bytes: write a multiple of the block length, 512$/],
  ["a size of no whole number of large blocks", unit("{ null: true, blockLength: 4096, size: <!>6144 }"), "units.vm0.size", /block length, 4096$/],
  ["no size at all", unit("{ null: true, size: <!>0 }"), "units.vm0.size", /^is 0: write bytes, or/],
  ["a negative size", unit("{ null: true, size: <!>-512 }"), "units.vm0.size", /^is -512/],
  ["a size in another unit", unit("{ null: true, size: <!>10GB }"), "units.vm0.size", /^is "10GB": write bytes, or a whole number and KiB, MiB, GiB or TiB, as 10GiB$/],
  ["half a size", unit("{ null: true, size: <!>1.5GiB }"), "units.vm0.size", /^is "1\.5GiB"/],
  ["a size above 2^53-1", unit("{ null: true, size: <!>9007199254740992 }"), "units.vm0.size", /^is too large: at most 2\^53-1 bytes/],
  ["a size above 2^53-1, in TiB", unit("{ null: true, size: <!>8192TiB }"), "units.vm0.size", /^is too large/],
  ["an unknown cache", unit("{ null: true, size: 1GiB, cache: <!>none }"), "units.vm0.cache", /^is "none": write direct, writeback or writethrough$/],
  ["an unknown block length", unit("{ null: true, size: 1GiB, blockLength: <!>2048 }"), "units.vm0.blockLength", /^is 2048: write 512 or 4096$/],
  ["an id that is no UUID", unit("{ null: true, size: 1GiB, id: <!>vm0 }"), "units.vm0.id", /^is not a UUID/],
  ["the UUID of nothing", unit("{ null: true, size: 1GiB, id: <!>00000000-0000-0000-0000-000000000000 }"), "units.vm0.id", /^is the UUID of nothing/],
  ["limits of nothing", unit("{ null: true, size: 1GiB, limits: <!>{ burst: 1 } }"), "units.vm0.limits", /^limits nothing: write iops, bandwidth or both/],
  ["limits of nothing, of an initiator", yaml({ target: "initiators: [{ name: iqn.2026-11.io.ringlun:i, limits: <!>{} }]" }), "targets[0].initiators[0].limits", /^limits nothing/],
  ["no command a second", unit("{ null: true, size: 1GiB, limits: { iops: <!>0 } }"), "units.vm0.limits.iops", /^is 0: write a whole number, 1 to 100000000$/],
  ["half a command a second", unit("{ null: true, size: 1GiB, limits: { iops: <!>0.5 } }"), "units.vm0.limits.iops", /^is 0\.5/],
  ["no byte a second", unit("{ null: true, size: 1GiB, limits: { bandwidth: <!>0 } }"), "units.vm0.limits.bandwidth", /^is 0: write bytes/],
  ["more bytes a second than can be limited", unit("{ null: true, size: 1GiB, limits: { bandwidth: <!>129GiB } }"), "units.vm0.limits.bandwidth", /^is more than the 128GiB a second that can be limited/],
  ["a burst of less than nothing", unit("{ null: true, size: 1GiB, limits: { iops: 1, burst: <!>-0.1 } }"), "units.vm0.limits.burst", /^is -0\.1: write seconds, 0 to 3600, as 0\.5$/],
  ["a burst that is no number", unit("{ null: true, size: 1GiB, limits: { iops: 1, burst: <!>.nan } }"), "units.vm0.limits.burst", /^is NaN: write seconds/],
  ["a burst in text", unit("{ null: true, size: 1GiB, limits: { iops: 1, burst: <!>1s } }"), "units.vm0.limits.burst", /^is "1s": write seconds/],
  ["an unknown limit", unit("{ null: true, size: 1GiB, limits: { iops: 1, <!>bps: 1 } }"), "units.vm0.limits.bps", /^is unknown/],
  ["an id twice", yaml({ units: "{ vm0: { null: true, size: 1GiB, id: 123E4567-e89b-42d3-a456-426614174000 }, vm1: { null: true, size: 1GiB, id: <!>123e4567-e89b-42d3-a456-426614174000 } }" }), "units.vm1.id", /^repeats the id 123e4567/],

  // The rest.
  ["no worker", yaml({ more: "workers: <!>0" }), "workers", /^is 0: write auto, or a whole number, 1 to 256$/],
  ["too many workers", yaml({ more: "workers: <!>257" }), "workers", /^is 257/],
  ["half a worker", yaml({ more: "workers: <!>1.5" }), "workers", /^is 1\.5/],
  ["a CPU that is not there", yaml({ more: "affinity: [<!>1023]" }), "affinity[0]", /^is 1023: that CPU is not there, or not for this process, which may use [0-9,-]+$/],
  ["a CPU beyond all", yaml({ more: "affinity: [<!>1024]" }), "affinity[0]", /^is 1024: write a whole number, 0 to 1023$/],
  ["a CPU twice", yaml({ more: `affinity: [${CPU}, <!>${CPU}]` }), "affinity[1]", /^repeats the CPU/],
  ["no CPU", yaml({ more: "affinity: <!>[]" }), "affinity", /^is empty: list at least one CPU/],
  ["a CPU by itself", yaml({ more: "affinity: <!>0" }), "affinity", /^is a number, not a list/],
  ["workers in quotes", yaml({ more: 'workers: <!>"1"' }), "workers", /^is "1": write auto/],
  ["a state folder that is a file", yaml({ more: "stateDir: <!>f" }), "stateDir", /is not a folder$/, { f: "" }],
  ["a state folder in a file", yaml({ more: "stateDir: <!>f/state" }), "stateDir", /cannot be reached: ENOTDIR: not a directory$/, { f: "" }],
  ["an unknown log level", yaml({ more: "log: { level: <!>warning }" }), "log.level", /^is "warning": write fatal, error, warn, info, debug, trace or silent$/],

  ["commands that are slow before they begin", yaml({ more: "log: { slowCommands: <!>-1 }" }), "log.slowCommands", /^is -1: write a whole number, 0 to 3600000$/],
  ["commands that are never slow", yaml({ more: "log: { slowCommands: <!>3600001 }" }), "log.slowCommands", /^is 3600001/],

  // YAML.
  ["a key twice", yaml({ more: "workers: 1\n<!>workers: 2" }), "workers", /^is there twice, first in line 7: remove one$/],
  ["__proto__ as a key", yaml({ more: "<!>__proto__: {}" }), "__proto__", /^is not allowed/],
  ["a merge key", yaml({ more: "<!><<: {}" }), '["<<"]', /^is unknown/],
  ["a key that is a list", yaml({ more: "? <!>[1]\n: 2" }), "", /^has a key that is not plain text$/],
  ["a colon without a key", yaml({ more: "<!>: 2" }), "", /^has a colon without a key/],
  ["a tag", yaml({ more: "workers: <!>!count 1" }), "", /^is not valid YAML: Unresolved tag: !count$/],
  ["a second document", `${yaml()}<!>---\nworkers: 1`, "", /^has a second document/],
  ["an alias to nothing", yaml({ more: "workers: <!>*count" }), "workers", /^refers to the anchor &count, which nothing before it has$/],
  ["an alias to what it is in", yaml({ more: "http: &http { listen: <!>*http }" }), "http.listen.listen", /^refers to the anchor &http from within it$/],
  ["a list that does not end", `${yaml()}http: [<!>`, "", /^is not valid YAML: .*end with a \]$/],
];

for (const [title, marked, path, message, files] of faults) {
  test(`fault: ${title}`, (t) => {
    const folder = temporaryFolder(t);
    writeFiles(folder, files ?? {});
    const { text, line, column } = unmark(marked);
    const found = loadFaults(folder, text);
    assert.deepEqual(
      found.map((fault) => [fault.path, fault.line, fault.column]),
      [[path, line, column]],
      JSON.stringify(found),
    );
    assert.match(found[0]?.message ?? "", message);
  });
}
