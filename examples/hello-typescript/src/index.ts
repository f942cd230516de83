import { greeting } from './greeting';

interface Input {
  name?: string;
}

interface Context {
  awsRequestId: string;
}

export const handler = async (event: Input | null, context: Context): Promise<{ message: string; requestId: string }> => {
  const name = event?.name ?? 'World';
  console.log('greeting', name);
  return { message: greeting(process.env.GREETING ?? 'Hello', name), requestId: context.awsRequestId };
};
