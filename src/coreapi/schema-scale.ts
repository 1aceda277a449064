/** POST /v1/apps/:name/scale: what may be asked, and what is said of what was decided. */
import { z } from 'zod';
import { cpuCores, memorySize, REPLICAS_MAX } from './schema-policy.ts';

/** A size by force. What is left out stays. */
export const scaleBody = z
  .strictObject({
    replicas: z
      .int()
      .min(1)
      .max(REPLICAS_MAX)
      .meta({
        description: 'Containers that take requests; within minReplicas … maxReplicas of the policy.',
        example: 2,
      })
      .optional(),
    cpu: cpuCores
      .meta({
        description: 'CPU of each container, in cores; within cpu … scaling.cpuMax of the policy.',
        example: 0.6,
      })
      .optional(),
    memoryBytes: memorySize
      .meta({
        description:
          'Memory of each container, in bytes; within memoryBytes … scaling.memoryMaxBytes of the policy.',
      })
      .optional(),
    grade: z
      .string()
      .min(1)
      .max(63)
      .meta({ description: 'A named size from /v1/grades, in place of cpu and memoryBytes.' })
      .optional(),
  })
  .superRefine((body, context) => {
    const refuse = (field: string, message: string) => {
      context.addIssue({ code: 'custom', path: [field], message });
    };
    const { replicas, cpu, memoryBytes, grade } = body;
    if (replicas === undefined && cpu === undefined && memoryBytes === undefined && grade === undefined)
      refuse('replicas', 'is needed, or cpu, memoryBytes or a grade');
    if (grade !== undefined && (cpu !== undefined || memoryBytes !== undefined))
      refuse('grade', 'goes without cpu and memoryBytes: it stands for both');
  })
  .meta({
    id: 'Scale',
    description:
      'The size an app is to have while it is awake. What is left out stays; at least one field is needed.',
  });

const extent = z.object({
  replicas: z.int().meta({ description: 'Containers wanted; 0 of an app that sleeps.' }),
  cpu: z.number().meta({ description: 'Cores of each.' }),
  memoryBytes: z.int().meta({ description: 'Bytes of each.' }),
});

export const scaleView = z
  .object({
    appId: z.string(),
    appName: z.string(),
    changed: z.boolean().meta({ description: 'false: it had that size already, and nothing is to be done.' }),
    directions: z.array(z.enum(['out', 'in', 'up', 'down'])),
    from: extent,
    to: extent,
    reason: z.string().meta({ description: 'What was decided, in a sentence.' }),
  })
  .meta({
    id: 'ScaleDecision',
    description: 'What was decided. Nodes carry it out from now on; events tell what comes of it.',
  });

/** What a caller writes. */
export type ScaleBody = z.input<typeof scaleBody>;
export type ScaleView = z.output<typeof scaleView>;
