using Stig.Model.Imaging;
using Stig.Model.Refinement;

namespace Stig.Model.Tests.Refinement;

public sealed class InputListingTests : IDisposable
{
    private readonly TestFolder folder = new();

    public void Dispose() => folder.Dispose();

    [Theory]
    [InlineData(new[] { "a.png", "b.jpg" }, new[] { "a.png", "b.png" })]
    [InlineData(new[] { "a.jpg", "a.png" }, new[] { "a.jpg.png", "a.png" })]
    [InlineData(new[] { "a.jpg", "a.webp" }, new[] { "a.jpg.png", "a.webp.png" })]
    [InlineData(new[] { "a.PNG", "a.png" }, new[] { "a.PNG", "a.png" })]
    [InlineData(new[] { "a.jpg", "a.jpg.png", "a.png" }, new[] { "a.jpg.png", "a.jpg.png.png", "a.png" })]
    [InlineData(new[] { "a.jpg", "a.jpg.webp", "a.png" }, new[] { "a.jpg.png", "a.jpg.webp.png", "a.png" })]
    public void Outputs_keep_the_stem_and_never_collide(string[] names, string[] outputs)
    {
        Assert.Equal(outputs, InputListing.OutputNames(names, new RefineCodec()));
        string[] reversed = InputListing.OutputNames([.. names.Reverse()], new RefineCodec());
        Assert.Equal(outputs, reversed.Reverse());
    }

    // The oracle is the promise itself: outputs differ, and neither order nor format changes that.
    [Fact]
    public void Any_set_of_names_has_different_outputs_in_any_order()
    {
        const int seed = 41;
        var random = new Random(seed);
        string[] parts = [".png", ".jpg", ".PNG", ".bmp", ".webp", ".jpeg"];
        for (int round = 0; round < 2000; round++)
        {
            string[] names = [.. Enumerable.Range(0, 8)
                .Select(_ => "ab"[random.Next(2)] + string.Concat(Enumerable.Range(0, 1 + random.Next(3)).Select(_ => parts[random.Next(parts.Length)])))
                .Distinct()];
            RefineCodec codec = new() { Format = round % 2 == 0 ? OutputFormat.Png : OutputFormat.Same };
            string[] outputs = InputListing.OutputNames(names, codec);
            Assert.True(outputs.Distinct().Count() == names.Length, $"seed {seed}, round {round}: {string.Join(' ', names)}");
            int[] order = [.. Enumerable.Range(0, names.Length)];
            random.Shuffle(order);
            string[] shuffled = InputListing.OutputNames([.. order.Select(i => names[i])], codec);
            Assert.Equal(order.Select(i => outputs[i]), shuffled);
        }
    }

    [Fact]
    public async Task Folders_are_listed_in_the_order_of_names_with_other_files_counted()
    {
        string[] names = ["a.png", "a/b.jpg", "a/b/c.png", "a.x/d.png", "b.png", "Z.webp"];
        foreach (string name in names.Reverse().Append("a/notes.txt").Append("x"))
        {
            folder.Write($"in/{name}", [1]);
        }

        InputListing listing = await InputListing.OpenAsync(new InputOptions { Paths = [folder["in"]], OutputFolder = folder["in/out"] });
        folder.Write("in/out/left.png", [1]);
        List<string> found = await NamesAsync(listing);

        Assert.Equal(names.Order(StringComparer.Ordinal), found);
        Assert.Equal(2, listing.Foreign);
        Assert.Equal(6, await listing.CountAsync(Shard.Whole));
    }

    [Theory]
    [InlineData(false, "\n")]
    [InlineData(false, "\r\n")]
    [InlineData(true, "\0")]
    public async Task Lists_give_names_below_the_current_folder_or_whole_paths(bool zero, string end)
    {
        string here = Directory.GetCurrentDirectory();
        string[] lines = ["x/a.png", $"{here}/y/b.jpg", "/far/away/c.bmp", "./x/../d.png", "x/a.png", .. zero ? ["two\nlines.png"] : Array.Empty<string>()];
        string list = folder.Write("list", System.Text.Encoding.UTF8.GetBytes(string.Join(end, lines) + end));

        InputListing listing = await InputListing.OpenAsync(new InputOptions { ListFile = list, ZeroTerminated = zero, OutputFolder = folder["out"] });
        List<(string Name, string Output)> found = [];
        await foreach (InputFile file in listing.ListAsync())
        {
            found.Add((file.Name, file.OutputName));
        }

        // The name that stands there twice is one input.
        (string, string)[] expected =
            [("x/a.png", "x/a.png"), ("y/b.jpg", "y/b.png"), ("far/away/c.bmp", "far/away/c.png"), ("d.png", "d.png")];
        Assert.Equal(zero ? [.. expected, ("two\nlines.png", "two\nlines.png")] : expected, found);
    }

    [Fact]
    public async Task A_list_keeps_whole_names_where_stems_are_the_same()
    {
        string list = folder.Write("list", "x/a.jpg\nx/a.png\ny/a.jpg\n"u8);
        InputListing listing = await InputListing.OpenAsync(new InputOptions { ListFile = list, OutputFolder = folder["out"] });
        List<string> outputs = [];
        await foreach (InputFile file in listing.ListAsync())
        {
            outputs.Add(file.OutputName);
        }

        Assert.Equal(["x/a.jpg.png", "x/a.png", "y/a.png"], outputs);
    }

    [Fact]
    public async Task What_would_collide_all_the_same_is_refused_with_both_names()
    {
        string one = folder.Write("one/a.png", [1]), two = folder.Write("two/a.png", [1]), three = folder.Write("three/a.jpg", [1]);
        foreach (string[] paths in (string[][])[[one, two], [folder["one"], folder["two"]], [folder["one"], three]])
        {
            ImageDataException error = await Assert.ThrowsAsync<ImageDataException>(
                () => InputListing.OpenAsync(new InputOptions { Paths = paths, OutputFolder = folder["out"] }));
            Assert.Contains(one, error.Message, StringComparison.Ordinal);
        }

        // The same file twice is no collision.
        InputListing listing = await InputListing.OpenAsync(new InputOptions { Paths = [folder["one"], one, one], OutputFolder = folder["out"] });
        Assert.Equal(["a.png"], await NamesAsync(listing));
    }

    [Fact]
    public async Task Outputs_never_replace_inputs()
    {
        string path = folder.Write("in/a.png", [1]);
        folder.Write("in/in/a.png", [1]);
        foreach ((string[] paths, string output) in (ValueTuple<string[], string>[])[([folder["in"]], folder["in"]), ([path], folder["in"])])
        {
            await Assert.ThrowsAsync<ImageDataException>(() => InputListing.OpenAsync(new InputOptions { Paths = paths, OutputFolder = output }));
        }

        InputListing listing = await InputListing.OpenAsync(new InputOptions { Paths = [folder["in"]], OutputFolder = folder.Root });
        List<RefineCause?> problems = [];
        await foreach (InputFile file in listing.ListAsync())
        {
            problems.Add(file.Problem?.Cause);
        }

        Assert.Equal([null, RefineCause.Name], problems);
    }

    [Theory]
    [InlineData(2)]
    [InlineData(7)]
    public void Shards_are_disjoint_exhaustive_and_even(int count)
    {
        const int names = 7000;
        int[] sizes = new int[count];
        for (int i = 0; i < names; i++)
        {
            string name = $"folder/{i:D6}.png";
            int[] holders = [.. Enumerable.Range(0, count).Where(shard => new Shard(shard, count).Holds(name))];
            sizes[Assert.Single(holders)]++;
        }

        // Binomial: five standard deviations around the mean.
        double mean = (double)names / count, deviation = Math.Sqrt(mean * (1 - (1.0 / count)));
        Assert.All(sizes, size => Assert.InRange(size, mean - (5 * deviation), mean + (5 * deviation)));
    }

    // The value is part of the contract, because a shard begun by one version must hold the same names in another. It comes from a separate
    // computation of FNV-1a with the finaliser of MurmurHash3.
    [Fact]
    public void The_hash_of_names_is_fixed() => Assert.Equal(0x499E9C9A70863D26UL, StableHash.Of("folder/0.png"));

    [Theory]
    [InlineData("0/3", 0, 3)]
    [InlineData("2/3", 2, 3)]
    [InlineData("3/3", 0, 3)]
    public void Shards_may_be_counted_from_zero_or_one(string text, int index, int count)
    {
        Assert.True(Shard.TryParse(text, out Shard shard));
        Assert.Equal(new Shard(index, count), shard);
        Assert.All((string[])["4/3", "-1/3", "1/0", "1", "a/b", "1/2/3", " 1/2"], wrong => Assert.False(Shard.TryParse(wrong, out _)));
    }

    [Theory]
    [InlineData("SLURM_ARRAY_TASK_ID=7 SLURM_ARRAY_TASK_COUNT=4 SLURM_ARRAY_TASK_MIN=1 SLURM_ARRAY_TASK_STEP=2", 3, 4)]
    [InlineData("SLURM_ARRAY_TASK_ID=2 SLURM_ARRAY_TASK_COUNT=4", 2, 4)]
    [InlineData("JOB_COMPLETION_INDEX=5 STIG_SHARD_COUNT=8", 5, 8)]
    [InlineData("OMPI_COMM_WORLD_RANK=0 OMPI_COMM_WORLD_SIZE=2", 0, 2)]
    [InlineData("SLURM_ARRAY_TASK_ID=2 SLURM_ARRAY_TASK_COUNT=3 SLURM_ARRAY_TASK_MIN=1", 1, 3)]
    [InlineData("SLURM_ARRAY_TASK_ID=6 SLURM_ARRAY_TASK_COUNT=3 SLURM_ARRAY_TASK_MIN=1", null, 0)]
    [InlineData("JOB_COMPLETION_INDEX=5", null, 0)]
    [InlineData("JOB_COMPLETION_INDEX=8 STIG_SHARD_COUNT=8", null, 0)]
    [InlineData("HOME=x", null, 0)]
    public void Schedulers_say_which_shard(string variables, int? index, int count)
    {
        Dictionary<string, string> environment = variables.Split(' ').Select(entry => entry.Split('=')).ToDictionary(entry => entry[0], entry => entry[1]);
        Shard? shard = Shard.OfScheduler(environment.GetValueOrDefault, out string problem);
        Assert.Equal(index is int i ? new Shard(i, count) : null, shard);
        Assert.Equal(index is null, problem.Contains("--shard i/n", StringComparison.Ordinal));
    }

    private static async Task<List<string>> NamesAsync(InputListing listing)
    {
        List<string> names = [];
        await foreach (InputFile file in listing.ListAsync())
        {
            names.Add(file.Name);
        }

        return names;
    }
}
