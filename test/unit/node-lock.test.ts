import { expect, it } from 'vitest';
import { newId } from '../../src/ids.ts';
import { holdNode } from '../../src/node-lock.ts';

it('a node is one program at a time, whatever folder it has its id from', async () => {
  const nodeId = newId('node');
  const release = await holdNode(nodeId);
  (await holdNode(newId('node')))();
  await expect(holdNode(nodeId)).rejects.toMatchObject({
    code: 'invalid_config',
    message: expect.stringContaining(nodeId) as string,
    hint: expect.stringContaining('node-id') as string,
  });
  release();
  (await holdNode(nodeId))();
});
