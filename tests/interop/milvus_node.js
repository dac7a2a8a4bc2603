// Run by test_milvus_clients.py beside @zilliz/milvus2-sdk-node: its HttpClient over REST, its gRPC client's first call.
const { HttpClient, MilvusClient } = require('@zilliz/milvus2-sdk-node');
const assert = require('assert');
(async () => {
  const port = process.argv[2];
  const http = new HttpClient({ endpoint: `http://127.0.0.1:${port}`, token: 'root:Milvus' });
  const good = (answer) => { assert.strictEqual(answer.code, 0, JSON.stringify(answer)); return answer.data; };
  const named = { collectionName: 'colours' };
  good(await http.createCollection({ ...named, dimension: 2, metricType: 'L2' }));
  assert.deepStrictEqual(good(await http.listCollections()), ['colours']);
  const made = good(await http.insert({ ...named, data: [{ id: 1, vector: [1, 2], colour: 'red' }, { id: 2, vector: [3, 4], colour: 'blue' }] }));
  assert.deepStrictEqual(made, { insertCount: 2, insertIds: ['1', '2'] });
  const hits = good(await http.search({ ...named, data: [[1, 2]], limit: 2, outputFields: ['*'] }));
  assert.deepStrictEqual([hits[0].distance, hits[0].id, hits[0].colour, 'vector' in hits[0]], [0, '1', 'red', true]);
  assert.strictEqual(hits[1].distance, 8);
  const rows = good(await http.query({ ...named, filter: "colour == 'blue'", outputFields: ['colour'] }));
  assert.deepStrictEqual(rows, [{ id: '2', colour: 'blue' }]);
  assert.strictEqual(good(await http.get({ ...named, id: [1], outputFields: ['colour'] }))[0].colour, 'red');
  good(await http.delete({ ...named, filter: 'id == 1' }));
  assert.strictEqual(good(await http.getCollectionStatistics(named)).rowCount, 1);
  good(await http.dropCollection(named));
  const grpc = new MilvusClient({ address: `127.0.0.1:${port}` });
  assert.match((await grpc.getVersion()).version, /^v2\./);
  process.exit(0);
})().catch((error) => { console.error(error); process.exit(1); });
