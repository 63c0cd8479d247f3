using Stig.Model.Imaging;
using Stig.Model.Refinement;

namespace Stig.Model.Tests.Refinement;

/// <summary>The pipeline as a stream of items, without a folder around it.</summary>
public sealed class RefinePipelineTests
{
    private static async IAsyncEnumerable<RefineItem> Items(int count, Func<int, byte[]> content)
    {
        for (int i = 0; i < count; i++)
        {
            byte[] image = content(i);
            await Task.Yield();
            yield return new RefineItem($"{i}", "x.png") { Read = () => image };
        }
    }

    [Fact]
    public async Task The_pipeline_alone_is_a_bounded_stream_from_items_to_outcomes()
    {
        const int window = 5, count = 60;
        byte[] image = BatchWorkspace.Png(1);
        int asked = 0, given = 0, ahead = 0;
        async IAsyncEnumerable<RefineItem> Items()
        {
            for (; asked < count; asked++)
            {
                ahead = Math.Max(ahead, asked - Volatile.Read(ref given));
                await Task.Yield();
                yield return new RefineItem($"{asked}", "x.png") { Read = () => image };
            }
        }

        var pipeline = new RefinePipeline([new TestRefiner(batch: 2)], new RefinePipelineOptions { Window = window, CodecThreads = 2 });
        HashSet<string> names = [];
        await foreach (RefineOutcome outcome in pipeline.RunAsync(Items()))
        {
            Assert.Equal(RefineStatus.Refined, outcome.Status);
            Assert.Equal(ImageCodec.Decode(image, "in").Image.Pixels, ImageCodec.Decode(outcome.Encoded, "out").Image.Pixels);
            names.Add(outcome.Item.Name);
            Interlocked.Increment(ref given);
        }

        Assert.Equal(count, names.Count);
        Assert.InRange(ahead, 1, window);
        Assert.InRange(pipeline.Load.Device, 0, 1);
    }

    // The device is slower than the thread that decodes, so that whole batches of the common size are always there. The rare image is to be
    // computed within four windows of its place all the same, and what the window holds comes on top; the order is that of the outcomes.
    [Fact]
    public async Task A_rare_size_does_not_wait_for_the_end()
    {
        const int Count = 400, Window = 16, Rare = 5;
        byte[] common = BatchWorkspace.Png(1), rare = BatchWorkspace.Png(2, 24, 40);
        using TestRefiner refiner = new(_ => Thread.Sleep(1), batch: 2);
        var pipeline = new RefinePipeline([refiner], new RefinePipelineOptions { Window = Window, CodecThreads = 1 });
        List<string> order = [];
        await foreach (RefineOutcome outcome in pipeline.RunAsync(Items(Count, i => i == Rare ? rare : common)))
        {
            order.Add(outcome.Item.Name);
        }

        Assert.Equal(Count, order.Count);
        Assert.InRange(order.IndexOf($"{Rare}"), 0, Rare + (5 * Window));
    }

    // Where the program itself is at fault: every third image, at whichever step.
    [Theory]
    [InlineData("read", RefineCause.Image, "InvalidOperationException")]
    [InlineData("encode", RefineCause.Encoding, "InvalidOperationException")]
    [InlineData("memory", RefineCause.Memory, "too little memory")]
    public async Task What_nobody_foresaw_costs_one_image_and_is_named(string where, RefineCause cause, string message)
    {
        byte[] image = BatchWorkspace.Png(1);
        int encoded = 0;
        async IAsyncEnumerable<RefineItem> Broken()
        {
            for (int i = 0; i < 12; i++)
            {
                await Task.Yield();
                bool breaks = where == "read" && i % 3 == 0;
                yield return new RefineItem($"{i}", "x.png") { Place = $"/in/{i}", Read = () => breaks ? throw new InvalidOperationException("ouch\nouch") : image };
            }
        }

        string? Remark() => where == "read" || encoded++ % 3 != 0 ? null
            : where == "memory" ? throw new InsufficientMemoryException() : throw new InvalidOperationException("ouch\nouch");
        using TestRefiner refiner = new() { Remarks = Remark };
        var pipeline = new RefinePipeline([refiner], new RefinePipelineOptions { CodecThreads = 1 });
        List<RefineOutcome> outcomes = [];
        await foreach (RefineOutcome outcome in pipeline.RunAsync(Broken()))
        {
            outcomes.Add(outcome);
        }

        Assert.Equal(8, outcomes.Count(outcome => outcome.Status == RefineStatus.Refined));
        Assert.All(outcomes.Where(outcome => outcome.Status == RefineStatus.Failed), outcome =>
        {
            Assert.Equal((cause, null, null), (outcome.Cause, outcome.Encoded, outcome.OutputHash));
            Assert.StartsWith($"/in/{outcome.Item.Name}: ", outcome.Error, StringComparison.Ordinal);
            Assert.Contains(message, outcome.Error, StringComparison.Ordinal);
            Assert.DoesNotContain('\n', outcome.Error!);
        });
    }

    // A source that cannot even be begun or ended: its exception comes out, and nothing waits for ever.
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_source_that_throws_ends_the_stream(bool atStart)
    {
        var pipeline = new RefinePipeline([new TestRefiner()], new RefinePipelineOptions { CodecThreads = 1 });
        async Task RunAsync()
        {
            await foreach (RefineOutcome outcome in pipeline.RunAsync(new Thrower(atStart)))
            {
                Assert.Equal(RefineStatus.Refined, outcome.Status);
            }
        }

        Assert.Equal("source", (await Assert.ThrowsAsync<InvalidOperationException>(() => RunAsync().WaitAsync(TimeSpan.FromSeconds(30)))).Message);
    }

    private sealed class Thrower(bool atStart) : IAsyncEnumerable<RefineItem>, IAsyncEnumerator<RefineItem>
    {
        public RefineItem Current => throw new NotSupportedException();

        public IAsyncEnumerator<RefineItem> GetAsyncEnumerator(CancellationToken cancellationToken = default) =>
            atStart ? throw new InvalidOperationException("source") : this;

        public ValueTask<bool> MoveNextAsync() => ValueTask.FromResult(false);

        public ValueTask DisposeAsync() => ValueTask.FromException(new InvalidOperationException("source"));
    }
}
