// Judges cases about URLs: null when a case comes out as it says, else how it did.

const differences = (url, expected) =>
    Object.keys(expected)
        .filter((part) => part in url && `${url[part]}` !== expected[part])
        .map((part) => `${part}: ${JSON.stringify(`${url[part]}`)} instead of ${JSON.stringify(expected[part])}`)
        .join(', ') || null;

const parsed = (test) => {
    let url;
    try {
        url = new URL(test.input, test.base ?? undefined);
    } catch (error) {
        if (!(error instanceof TypeError)) return `threw ${error}`;
        return test.failure ? null : 'was refused';
    }
    return test.failure ? `became ${url.href}` : differences(url, test);
};

const set = ({ part, case: test }) => {
    const url = new URL(test.href);
    url[part] = test.new_value;
    return differences(url, test.expected);
};

export default async (request) => {
    const tests = await request.json();
    return Response.json(tests.map((test) => (test.part ? set(test) : parsed(test))));
};
