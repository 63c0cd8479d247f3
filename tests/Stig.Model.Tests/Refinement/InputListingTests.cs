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

    [Theory]
    [InlineData(new[] { "x.jpg" }, new[] { "x.png" }, new[] { "x.jpg.png" })]
    [InlineData(new[] { "x.jpg", "x.jpg.png" }, new[] { "x.png" }, new[] { "x.jpg.png", "x.jpg.png.png" })]
    [InlineData(new[] { "x.jpg", "y.png" }, new[] { "x", "x.jpg.png" }, new[] { "x.png", "y.png" })]
    public void Outputs_keep_clear_of_the_folders_beside_them(string[] names, string[] folders, string[] outputs) =>
        Assert.Equal(outputs, InputListing.OutputNames(names, new RefineCodec(), folders.ToHashSet()));

    // The oracle is the promise itself: outputs differ from each other, and from folders unless they are whole names, and neither order nor
    // format changes that.
    [Fact]
    public void Any_set_of_names_has_different_outputs_in_any_order()
    {
        const int seed = 41;
        var random = new Random(seed);
        for (int round = 0; round < 2000; round++)
        {
            string[] names = RandomNames(random, 8);
            HashSet<string> folders = [.. RandomNames(random, 4).Except(names)];
            RefineCodec codec = new() { Format = round % 2 == 0 ? OutputFormat.Png : OutputFormat.Same };
            string[] outputs = InputListing.OutputNames(names, codec, folders);
            string what = $"seed {seed}, round {round}: {string.Join(' ', names)}; {string.Join(' ', folders)}";
            Assert.True(outputs.Distinct().Count() == names.Length, what);
            Assert.True(names.Zip(outputs).All(pair =>
                !folders.Contains(pair.Second) || (pair.Second.StartsWith(pair.First, StringComparison.Ordinal) && pair.Second != pair.First)), what);
            int[] order = [.. Enumerable.Range(0, names.Length)];
            random.Shuffle(order);
            string[] shuffled = InputListing.OutputNames([.. order.Select(i => names[i])], codec, folders);
            Assert.Equal(order.Select(i => outputs[i]), shuffled);
        }
    }

    // The oracle is the rule of a folder that holds the same: there it needs all names at once, here hashes suffice.
    [Fact]
    public async Task A_list_gives_the_outputs_that_a_folder_would()
    {
        const int seed = 43;
        var random = new Random(seed);
        for (int round = 0; round < 300; round++)
        {
            string[] names = RandomNames(random, 8);
            string[] folders = [.. RandomNames(random, 4).Except(names)];
            string[] lines = [.. names, .. folders.Select(name => $"{name}/z.png")];
            random.Shuffle(lines);
            RefineCodec codec = new() { Format = round % 2 == 0 ? OutputFormat.Png : OutputFormat.Same };
            string list = folder.Write("list", System.Text.Encoding.UTF8.GetBytes(string.Join('\n', lines)));
            List<InputFile> found = await FilesAsync(new InputOptions { ListFile = list, OutputFolder = folder["out"], Codec = codec });

            Dictionary<string, string> outputs = names.Zip(InputListing.OutputNames(names, codec, folders.ToHashSet())).ToDictionary();
            (string, string, bool)[] expected = [.. lines.Select(line => outputs.TryGetValue(line, out string? output)
                ? (line, output, folders.Contains(output))
                : (line, line, false))];
            Assert.True(
                expected.SequenceEqual(found.Select(file => (file.Name, file.OutputName, file.Problem?.Cause == RefineCause.Name))),
                $"seed {seed}, round {round}: {string.Join(' ', lines)}");
        }
    }

    [Fact]
    public async Task An_output_that_a_folder_of_others_has_to_be_costs_its_input()
    {
        // In a folder the whole name is free, or not.
        folder.Write("in/x.jpg", [1]);
        folder.Write("in/x.png/b.png", [1]);
        folder.Write("in/y.jpg", [1]);
        folder.Write("in/y.png/b.png", [1]);
        folder.Write("in/y.jpg.png/b.png", [1]);
        Assert.Equal(
            ["x.jpg.png", "x.png/b.png", "y.jpg.png !", "y.jpg.png/b.png", "y.png/b.png"],
            await OutputsAsync(new InputOptions { Paths = [folder["in"]], OutputFolder = folder["out"] }));

        // Between two folders, in either order: the file is the one to fail.
        folder.Write("one/z.jpg", [1]);
        folder.Write("two/z.png/c.png", [1]);
        string[] both = [folder["one"], folder["two"]];
        Assert.Equal(["z.png !", "z.png/c.png"], await OutputsAsync(new InputOptions { Paths = both, OutputFolder = folder["out"] }));
        Assert.Equal(["z.png/c.png", "z.png !"], await OutputsAsync(new InputOptions { Paths = [.. both.Reverse()], OutputFolder = folder["out"] }));
    }

    // 255 bytes are a name's most; "é" has two of them.
    [Theory]
    [InlineData(OutputFormat.Png, 251, null)]
    [InlineData(OutputFormat.Webp, 250, null)]
    [InlineData(OutputFormat.Webp, 251, RefineCause.Name)]
    public async Task An_output_whose_name_is_too_long_costs_its_input(OutputFormat format, int length, RefineCause? expected)
    {
        string stem = new string('é', length / 2) + new string('a', length % 2);
        folder.Write($"in/{stem}.jpg", [1]);
        InputOptions options = new() { Paths = [folder["in"]], OutputFolder = folder["out"], Codec = new RefineCodec { Format = format } };
        Assert.Equal(expected, Assert.Single(await FilesAsync(options)).Problem?.Cause);

        // Beside another of its stem it keeps its whole name, for which there is no room.
        folder.Write($"in/{stem}.bmp", [1]);
        Assert.All(await FilesAsync(options), file => Assert.Equal(RefineCause.Name, file.Problem?.Cause));
    }

    [Fact]
    public async Task A_list_is_read_without_its_byte_order_mark()
    {
        string list = folder.Write("list", [0xEF, 0xBB, 0xBF, .. "a.png\nb.png"u8]);
        Assert.Equal(["a.png", "b.png"], await OutputsAsync(new InputOptions { ListFile = list, OutputFolder = folder["out"] }));
    }

    [Theory]
    [InlineData("a.png\0b.png\0")]
    [InlineData("a.png\nb.png\0")]
    public async Task A_list_of_zero_terminated_names_asks_for_the_option(string content)
    {
        string list = folder.Write("list", System.Text.Encoding.UTF8.GetBytes(content));
        ImageDataException error = await Assert.ThrowsAsync<ImageDataException>(
            () => InputListing.OpenAsync(new InputOptions { ListFile = list, OutputFolder = folder["out"] }));
        Assert.Contains("--null", error.Message, StringComparison.Ordinal);
        Assert.Contains(list, error.Message, StringComparison.Ordinal);
    }

    // It exists and can be opened, but reading it at its beginning is an error, to root too.
    [Fact]
    public async Task A_list_that_cannot_be_read_is_a_fault_of_the_inputs()
    {
        const string list = "/proc/self/mem";
        Assert.SkipUnless(File.Exists(list), "There is no /proc.");
        ImageDataException error = await Assert.ThrowsAsync<ImageDataException>(
            () => InputListing.OpenAsync(new InputOptions { ListFile = list, OutputFolder = folder["out"] }));
        Assert.Contains(list, error.Message, StringComparison.Ordinal);
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

    [Fact]
    public async Task Links_into_the_output_folder_and_listed_files_in_it_fail()
    {
        folder.Write("out/manifest.jsonl", []);
        string inner = folder.Write("out/sub/a.png", [1]), elsewhere = folder.Write("elsewhere/b.png", [1]);
        folder.Write("in/c.png", [1]);
        File.CreateSymbolicLink(folder["in/a.png"], inner);
        File.CreateSymbolicLink(folder["in/b.png"], elsewhere);
        Directory.CreateSymbolicLink(folder["in/sub"], folder["out/sub"]);
        Directory.CreateSymbolicLink(folder["in/self"], folder["out"]);
        Assert.Equal(
            ["a.png !", "b.png", "c.png", "sub/ !"], await OutputsAsync(new InputOptions { Paths = [folder["in"]], OutputFolder = folder["out"] }));

        string[] lines = [inner, elsewhere, folder["in/a.png"], folder["in/sub/a.png"], folder["in/self/sub/a.png"]];
        string list = folder.Write("list", System.Text.Encoding.UTF8.GetBytes(string.Join('\n', lines)));
        List<InputFile> listed = await FilesAsync(new InputOptions { ListFile = list, OutputFolder = folder["out"] });
        Assert.Equal([elsewhere], listed.Where(file => file.Problem is null).Select(file => file.Path));

        // In a folder that no run has made they might be of worth.
        File.Delete(folder["out/manifest.jsonl"]);
        InputOptions[] refused =
        [
            new() { Paths = [folder["in"]], OutputFolder = folder["out"] }, new() { ListFile = list, OutputFolder = folder["out"] },
            new() { ListFile = "-", OutputFolder = folder["out"] },
        ];
        foreach (InputOptions options in refused)
        {
            ImageDataException error = await Assert.ThrowsAsync<ImageDataException>(() => InputListing.OpenAsync(options));
            Assert.Contains("Choose another output folder", error.Message, StringComparison.Ordinal);
        }

        // What is named is compared with the outputs instead.
        Assert.Equal(["a.png"], await OutputsAsync(new InputOptions { Paths = [inner], OutputFolder = folder["out"] }));
        Assert.Equal(["a.png"], await OutputsAsync(new InputOptions { Paths = [folder["out/sub"]], OutputFolder = folder["out"] }));
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

    private static string[] RandomNames(Random random, int count)
    {
        string[] parts = [".png", ".jpg", ".PNG", ".bmp", ".webp", ".jpeg"];
        return [.. Enumerable.Range(0, count)
            .Select(_ => "ab"[random.Next(2)] + string.Concat(Enumerable.Range(0, 1 + random.Next(3)).Select(_ => parts[random.Next(parts.Length)])))
            .Distinct()];
    }

    private static async Task<List<InputFile>> FilesAsync(InputOptions options)
    {
        List<InputFile> files = [];
        await foreach (InputFile file in (await InputListing.OpenAsync(options)).ListAsync())
        {
            files.Add(file);
        }

        return files;
    }

    // Those that fail are marked.
    private static async Task<IEnumerable<string>> OutputsAsync(InputOptions options) =>
        (await FilesAsync(options)).Select(file => file.Problem is null ? file.OutputName : $"{file.OutputName} !");

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
