// auditlb with every request in the sealed log on disk, at the default durability.
import { fileSink } from '../../dist/index.js'
import { listenWith } from '../lib/auditlb.mjs'
import { dir } from '../lib/peer.mjs'

listenWith([fileSink({ dir })])
