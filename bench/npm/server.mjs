// aedes as its documentation starts it: node server.mjs PORT
import { createServer } from 'node:net'
import { Aedes } from 'aedes'

const aedes = await Aedes.createBroker({ queueLimit: 1000 })
createServer({ noDelay: true }, aedes.handle).listen(Number(process.argv[2]), '127.0.0.1')
