using System.Buffers.Binary;
using System.Diagnostics;
using System.Formats.Tar;
using System.Text;
using Stig.Model.Imaging;
using Stig.Model.Refinement;

namespace Stig.Model.Tests.Refinement;

/// <summary>Jobs on tar files. The oracle for what comes out is the class library's reader.</summary>
public sealed class TarShardsTests : IDisposable
{
    private readonly BatchWorkspace workspace = new();

    private string Out => workspace.Out;

    private RefineJobOptions Options => new() { OutputFolder = Out, Tar = true };

    public void Dispose() => workspace.Dispose();

    [Fact]
    public async Task Tar_shards_keep_order_other_files_and_times_and_are_done_whole()
    {
        DateTimeOffset time = new(2020, 1, 2, 3, 4, 5, TimeSpan.Zero);
        string tar = workspace.Write("set/000.tar", []);
        (string Name, byte[] Content)[] members =
        [
            ("a.json", "{}"u8.ToArray()), ("a.jpg", BatchWorkspace.Png(1)), ("b.png", BatchWorkspace.Png(2, 32, 48)), ("b.txt", "b"u8.ToArray()),
            ("c.jpg", BatchWorkspace.Png(3)), ("c.png", BatchWorkspace.Png(4)), ("d.png", "no image"u8.ToArray()), ("e.png", BatchWorkspace.Png(5, 20, 33)),
        ];
        WriteTar(tar, members, time);
        workspace.Write("set/readme.md", [1]);
        RefineJobOptions options = new() { OutputFolder = Out, Tar = true };

        (List<ManifestEntry> entries, RefineJobProgress progress) = await workspace.RunAsync([new TestRefiner()], options);

        Assert.Equal((5, 1), (progress.Refined, progress.Failed));
        string output = Path.Combine(Out, "set/000.tar");
        List<(string Name, byte[] Content, DateTimeOffset Time)> refined = ReadTar(output);
        Assert.Equal(["a.json", "a.png", "b.png", "b.txt", "c.jpg.png", "c.png", "e.png"], refined.Select(member => member.Name));
        Assert.All(refined, member => Assert.Equal(time, member.Time));
        Assert.Equal("{}"u8.ToArray(), refined[0].Content);
        Assert.Equal(ImageCodec.Decode(members[1].Content, "a").Image.Pixels, ImageCodec.Decode(refined[1].Content, "a").Image.Pixels);
        Assert.Equal("set/000.tar", entries[^1].Input);
        Assert.Equal(1, entries[^1].Failures);
        Assert.Equal((0, 1), ((await workspace.RunAsync([new TestRefiner()], options)).Progress is var again ? (again.Refined, again.Skipped) : default));

        // The same bytes whatever the order in which images are done.
        RefineJobOptions other = options with { OutputFolder = workspace["other"], Pipeline = new RefinePipelineOptions { CodecThreads = 3, Window = 2 } };
        await workspace.RunAsync([new TestRefiner(batch: 1)], other);
        Assert.Equal(BatchWorkspace.Tree(Out), BatchWorkspace.Tree(other.OutputFolder));
    }

    [Fact]
    public async Task A_tar_file_that_breaks_off_is_one_failure_and_leaves_nothing()
    {
        string whole = workspace.Write("whole.tar", []), cut = workspace.Write("cut.tar", []);
        WriteTar(whole, [("a.png", BatchWorkspace.Png(1))], DateTimeOffset.UnixEpoch);
        WriteTar(cut, [("a.png", BatchWorkspace.Png(1)), ("b.png", BatchWorkspace.Png(2))], DateTimeOffset.UnixEpoch);
        File.WriteAllBytes(cut, File.ReadAllBytes(cut)[..6000]);

        (List<ManifestEntry> entries, RefineJobProgress progress) =
            await workspace.RunAsync([new TestRefiner()], new RefineJobOptions { OutputFolder = Out, Tar = true });

        Assert.Equal((1, 1), (progress.Refined, progress.Failed));
        Assert.Equal("cut.tar", Assert.Single(entries, entry => entry.Status == RefineStatus.Failed).Input);
        Assert.Equal(["whole.tar"], BatchWorkspace.Tree(Out).Keys);
    }

    // Fields that no entry of this program's own has, as other programs and other people write them: a user's number beyond 31 bits in base 256,
    // one that is no number, a time beyond the class library's.
    [Theory]
    [InlineData("base-256 user")]
    [InlineData("user in letters")]
    [InlineData("time")]
    public async Task A_tar_file_of_an_odd_header_costs_only_itself(string what)
    {
        string odd = workspace.Write("a.tar", []);
        WriteTar(odd, [("a.png", BatchWorkspace.Png(1))], DateTimeOffset.UnixEpoch);
        WriteTar(workspace.Write("b.tar", []), [("b.png", BatchWorkspace.Png(2))], DateTimeOffset.UnixEpoch);
        byte[] file = File.ReadAllBytes(odd);
        const int User = 108, Time = 136;
        switch (what)
        {
            case "base-256 user":
                file[User] = 0x80;
                BinaryPrimitives.WriteUInt32BigEndian(file.AsSpan(User + 4), 0xC000_0000);
                break;
            case "user in letters":
                "abcdefg"u8.CopyTo(file.AsSpan(User));
                break;
            default:
                file[Time] = 0x80;
                file.AsSpan(Time + 1, 11).Fill(0x7F);
                break;
        }

        SetChecksum(file);
        File.WriteAllBytes(odd, file);
        (List<ManifestEntry> entries, RefineJobProgress progress) = await workspace.RunAsync([new TestRefiner()], Options);

        Assert.Equal((1, 1), (progress.Refined, progress.Failed));
        ManifestEntry failed = Assert.Single(entries, entry => entry.Status == RefineStatus.Failed);
        Assert.Equal(("a.tar", RefineCause.Unreadable), (failed.Input, failed.Cause));
        Assert.Contains("a.tar: cannot be read as a tar file: ", failed.Error, StringComparison.Ordinal);
        Assert.Equal(["b.tar"], BatchWorkspace.Tree(Out).Keys);
    }

    // Nothing of the process or the time may get into the output; what it holds is read by the class library and by another reader.
    [Fact]
    public async Task Output_depends_on_nothing_but_the_input()
    {
        string path = workspace.Write("a.tar", []);
        using (var writer = new TarWriter(File.Create(path)))
        {
            writer.WriteEntry(new PaxGlobalExtendedAttributesTarEntry(new Dictionary<string, string> { ["comment"] = "set" }));
            Write(writer, TarEntryFormat.Pax, "d/" + new string('n', 120) + ".jpg", BatchWorkspace.Png(1));
            Write(writer, TarEntryFormat.Ustar, "b.txt", [2]);
        }

        await workspace.RunAsync([new TestRefiner()], Options);

        string output = Path.Combine(Out, "a.tar");
        byte[] file = File.ReadAllBytes(output);
        Assert.Equal(-1, file.AsSpan().IndexOf(Encoding.ASCII.GetBytes($".{Environment.ProcessId}")));
        Assert.Equal(3, Occurrences(file, "././@PaxHeader"u8));
        Assert.Equal(["b.txt", "d/" + new string('n', 120) + ".png"], ReadTar(output).Select(member => member.Name).Where(name => name != "././@PaxHeader").Order());
        using Process other = Process.Start(new ProcessStartInfo("tar", ["-tf", output]) { RedirectStandardOutput = true, RedirectStandardError = true })!;
        string listed = await other.StandardOutput.ReadToEndAsync(TestContext.Current.CancellationToken);
        Assert.Equal("", await other.StandardError.ReadToEndAsync(TestContext.Current.CancellationToken));
        Assert.Equal($"d/{new string('n', 120)}.png\nb.txt\n", listed);
    }

    [Fact]
    public async Task A_name_that_would_be_lost_fails_the_tar_file()
    {
        string path = workspace.Write("a.tar", []);
        WriteTar(path, [("a.png", BatchWorkspace.Png(1)), ("e.txt", [1])], DateTimeOffset.UnixEpoch);
        byte[] file = File.ReadAllBytes(path);
        file[0] = 0xE9;
        SetChecksum(file);
        File.WriteAllBytes(path, file);
        ManifestEntry entry = Assert.Single((await workspace.RunAsync([new TestRefiner()], Options)).Entries);
        Assert.Equal((RefineStatus.Failed, RefineCause.Unreadable), (entry.Status, entry.Cause));
        Assert.Contains("not UTF-8", entry.Error, StringComparison.Ordinal);
    }

    // A name of 100 bytes fills the field of the oldest format; with another extension it does not fit any more.
    [Theory]
    [InlineData(TarEntryFormat.V7)]
    [InlineData(TarEntryFormat.Ustar)]
    [InlineData(TarEntryFormat.Gnu)]
    [InlineData(TarEntryFormat.Pax)]
    public async Task Names_may_grow_in_every_format(TarEntryFormat format)
    {
        string name = new string('n', 96) + ".jpg", path = workspace.Write("a.tar", []);
        using (var writer = new TarWriter(File.Create(path), format))
        {
            Write(writer, format, name, BatchWorkspace.Png(1));
            Write(writer, format, "n/" + name[..60] + ".txt", "text"u8.ToArray());
        }

        RefineJobProgress progress = (await workspace.RunAsync(
            [new TestRefiner()], Options with { Pipeline = new() { Codec = new RefineCodec { Format = OutputFormat.Webp } } },
            workspace.Inputs(Out) with { Codec = new RefineCodec { Format = OutputFormat.Webp } })).Progress;

        Assert.Equal((1, 0), (progress.Refined, progress.Failed));
        Assert.Equal([new string('n', 96) + ".webp", "n/" + name[..60] + ".txt"], ReadTar(Path.Combine(Out, "a.tar")).Select(member => member.Name));
    }

    [Fact]
    public async Task Links_lead_to_images_by_their_new_names()
    {
        string path = workspace.Write("a.tar", []);
        using (var writer = new TarWriter(File.Create(path)))
        {
            Write(writer, TarEntryFormat.Pax, "d/a.jpg", BatchWorkspace.Png(1));
            Write(writer, TarEntryFormat.Pax, "d/bad.jpg", [1]);
            Write(writer, TarEntryFormat.Pax, "d/n.txt", [1]);
            foreach ((TarEntryType type, string name, string target) in new[]
                     {
                         (TarEntryType.HardLink, "hard", "d/a.jpg"), (TarEntryType.SymbolicLink, "e/soft", "../d/./a.jpg"), (TarEntryType.SymbolicLink, "d/near", "a.jpg"),
                         (TarEntryType.HardLink, "gone", "d/bad.jpg"), (TarEntryType.HardLink, "other", "d/n.txt"), (TarEntryType.SymbolicLink, "out", "/etc/a.jpg"),
                     })
            {
                writer.WriteEntry(new PaxTarEntry(type, name) { LinkName = target });
            }
        }

        await workspace.RunAsync([new TestRefiner()], Options);

        using var reader = new TarReader(File.OpenRead(Path.Combine(Out, "a.tar")));
        List<(string, string)> links = [];
        while (reader.GetNextEntry() is TarEntry entry)
        {
            links.Add((entry.Name, entry.LinkName));
        }

        Assert.Equal(
            [("d/a.png", ""), ("d/n.txt", ""), ("hard", "d/a.png"), ("e/soft", "../d/./a.png"), ("d/near", "a.png"), ("other", "d/n.txt"), ("out", "/etc/a.jpg")], links);
    }

    // What is copied never lies in memory, images only while they are at hand. The bound leaves room for everything else, a tenth of the file.
    [Fact]
    public async Task Memory_does_not_grow_with_what_is_copied()
    {
        const int Large = 40 << 20;
        string path = workspace.Write("a.tar", []), empty = workspace["zeros"];
        using (FileStream zeros = File.Create(empty))
        {
            zeros.SetLength(Large);
        }

        using (var writer = new TarWriter(File.Create(path)))
        {
            Write(writer, TarEntryFormat.Pax, "a.png", BatchWorkspace.Png(1));
            foreach (string name in new[] { "a.npy", "b.npy", "c.npy", "huge.png" })
            {
                using FileStream data = File.OpenRead(empty);
                writer.WriteEntry(new PaxTarEntry(TarEntryType.RegularFile, name) { DataStream = data });
            }
        }

        long before = GC.GetTotalAllocatedBytes(precise: true);
        (List<ManifestEntry> entries, RefineJobProgress progress) = await workspace.RunAsync(
            [new TestRefiner()], Options with { Pipeline = new() { Codec = new RefineCodec { MaxPixels = 1024 } } });
        long allocated = GC.GetTotalAllocatedBytes(precise: true) - before;

        // An image of 1024 pixels never has 64 MiB and 8 KiB; this one has less, and no header.
        Assert.Equal((1, 1), (progress.Refined, progress.Failed));
        Assert.Equal(RefineCause.Image, Assert.Single(entries, entry => entry.Status == RefineStatus.Failed).Cause);
        Assert.InRange(allocated, 0, Large + (Large / 2));
        using var reader = new TarReader(File.OpenRead(Path.Combine(Out, "a.tar")));
        List<(string, long)> lengths = [];
        while (reader.GetNextEntry() is TarEntry entry)
        {
            lengths.Add((entry.Name, entry.Name == "a.png" ? 0 : entry.Length));
        }

        Assert.Equal([("a.png", 0), ("a.npy", Large), ("b.npy", Large), ("c.npy", Large)], lengths);
    }

    // More entries wait behind the first image than are held: reading pauses and goes on.
    [Fact]
    public async Task Reading_pauses_while_too_much_waits_for_an_image()
    {
        const int Count = 9000;
        string path = workspace.Write("a.tar", []);
        (string, byte[])[] members = [("a.png", BatchWorkspace.Png(1)), .. Enumerable.Range(0, Count).Select(i => ($"{i}.txt", new byte[] { 1 }))];
        WriteTar(path, members, DateTimeOffset.UnixEpoch);
        using ManualResetEventSlim late = new();
        using TestRefiner refiner = new(_ => late.Wait(200));
        Assert.Equal(1, (await workspace.RunAsync([refiner], Options)).Progress.Refined);
        Assert.Equal(Count + 1, ReadTar(Path.Combine(Out, "a.tar")).Count);
    }

    [Fact]
    public async Task A_link_to_a_tar_file_is_refined_once()
    {
        string real = workspace["real.tar"];
        WriteTar(real, [("a.png", BatchWorkspace.Png(1))], DateTimeOffset.UnixEpoch);
        Directory.CreateDirectory(workspace.In);
        File.CreateSymbolicLink(Path.Combine(workspace.In, "link.tar"), real);
        Assert.Equal(1, (await workspace.RunAsync([new TestRefiner()], Options)).Progress.Refined);
        Assert.Equal((0, 1), ((await workspace.RunAsync([new TestRefiner()], Options)).Progress is var again ? (again.Refined, again.Skipped) : default));
    }

    // The content decides where the time alone has changed; the new time is recorded, so that it is read once.
    [Fact]
    public async Task A_tar_file_under_another_time_is_left_alone_by_its_content()
    {
        string path = workspace.Write("a.tar", []);
        WriteTar(path, [("a.png", BatchWorkspace.Png(1)), ("bad.png", [1]), ("b.txt", [2])], DateTimeOffset.UnixEpoch);
        RefineJobProgress first = (await workspace.RunAsync([new TestRefiner()], Options)).Progress;
        Assert.Equal((1, 1, 0), (first.Refined, first.Failed, first.FailedBefore));
        File.SetLastWriteTimeUtc(path, new DateTime(2001, 2, 3, 4, 5, 6, DateTimeKind.Utc));
        for (int again = 0; again < 2; again++)
        {
            // What failed in it before is still missing, and told.
            RefineJobProgress next = (await workspace.RunAsync([new TestRefiner()], Options)).Progress;
            Assert.Equal((0, 1, 0, 1), (next.Refined, next.Skipped, next.Failed, next.FailedBefore));
        }

        Assert.Equal(2, ManifestIndex.Read(Path.Combine(Out, "manifest.jsonl")).Count(entry => entry.Input == "a.tar"));
        byte[] file = File.ReadAllBytes(path);
        file[file.AsSpan().IndexOf("b.txt"u8)] = (byte)'c';
        SetChecksumOf(file, "c.txt");
        File.WriteAllBytes(path, file);
        Assert.Equal(1, (await workspace.RunAsync([new TestRefiner()], Options)).Progress.Refined);
    }

    // Written to while it is read: refused, and made by the next run. Replaced by another of its name: what was opened is refined whole, and
    // the next run refines the new one.
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_tar_file_that_changes_is_not_taken_for_done(bool replaced)
    {
        string path = workspace.Write("a.tar", []), other = workspace["other.tar"];
        WriteTar(path, [("a.png", BatchWorkspace.Png(1)), ("a.txt", [1])], DateTimeOffset.UnixEpoch);
        WriteTar(other, [("b.png", BatchWorkspace.Png(2)), ("b.txt", [2]), ("c.jpg", BatchWorkspace.Png(3))], DateTimeOffset.UnixEpoch);
        using TestRefiner changing = new(_ =>
        {
            if (replaced)
            {
                File.Move(other, path, overwrite: true);
            }
            else
            {
                File.AppendAllText(path, "more");
            }
        });
        (List<ManifestEntry> entries, RefineJobProgress progress) = await workspace.RunAsync([changing], Options);
        if (replaced)
        {
            Assert.Equal((1, 0), (progress.Refined, progress.Failed));
            Assert.Equal(["a.png", "a.txt"], ReadTar(Path.Combine(Out, "a.tar")).Select(member => member.Name));
        }
        else
        {
            Assert.Equal((0, 1), (progress.Refined, progress.Failed));
            Assert.Equal(RefineCause.Changed, Assert.Single(entries).Cause);
            Assert.Empty(BatchWorkspace.Tree(Out));
        }

        progress = (await workspace.RunAsync([new TestRefiner()], Options)).Progress;
        Assert.Equal((replaced ? 2 : 1, 0), (progress.Refined, progress.Failed));
        Assert.Equal(replaced ? ["b.png", "b.txt", "c.png"] : ["a.png", "a.txt"], ReadTar(Path.Combine(Out, "a.tar")).Select(member => member.Name));
    }

    [Fact]
    public async Task A_pipe_named_as_a_tar_file_is_refused_without_waiting()
    {
        WriteTar(workspace.Write("b.tar", []), [("b.png", BatchWorkspace.Png(2))], DateTimeOffset.UnixEpoch);
        using (Process made = Process.Start("mkfifo", [Path.Combine(workspace.In, "a.tar")]))
        {
            await made.WaitForExitAsync(TestContext.Current.CancellationToken);
        }

        (List<ManifestEntry> entries, RefineJobProgress progress) = await workspace.RunAsync([new TestRefiner()], Options).WaitAsync(TimeSpan.FromSeconds(30), TestContext.Current.CancellationToken);
        Assert.Equal((1, 1), (progress.Refined, progress.Failed));
        Assert.Contains("no plain file", Assert.Single(entries, entry => entry.Status == RefineStatus.Failed).Error, StringComparison.Ordinal);
    }

    // Bad images are named when they are found; what was refined of a tar file that is not finished does not count.
    [Fact]
    public async Task A_run_that_ends_early_has_named_the_failures_and_counts_no_lost_images()
    {
        (string, byte[])[] members = [.. Enumerable.Range(0, 60).Select(i => ($"{i:D2}.png", i % 4 == 1 ? [1] : BatchWorkspace.Png(i)))];
        WriteTar(workspace.Write("a.tar", []), members, DateTimeOffset.UnixEpoch);
        (List<ManifestEntry> entries, RefineJobProgress progress) = await workspace.RunAsync(
            [new TestRefiner()], Options with { MaxFailures = 2, Pipeline = new() { Window = 4, CodecThreads = 1 } });

        Assert.InRange(progress.Failed, 3, 8);
        Assert.Equal(0, progress.Refined);
        Assert.Equal(progress.Failed, entries.Count);
        Assert.All(entries, entry => Assert.Matches(@"^a\.tar/\d\d\.png$", entry.Input));
        Assert.Equal(entries.Select(entry => entry.Input), ManifestIndex.Read(Path.Combine(Out, "manifest.jsonl")).Select(entry => entry.Input));
        Assert.Empty(BatchWorkspace.Tree(Out));
    }

    private static int Occurrences(ReadOnlySpan<byte> data, ReadOnlySpan<byte> text)
    {
        int count = 0;
        for (int at; (at = data.IndexOf(text)) >= 0; data = data[(at + 1)..])
        {
            count++;
        }

        return count;
    }

    private static void Write(TarWriter writer, TarEntryFormat format, string name, byte[] content)
    {
        TarEntry entry = format switch
        {
            TarEntryFormat.V7 => new V7TarEntry(TarEntryType.V7RegularFile, name),
            TarEntryFormat.Ustar => new UstarTarEntry(TarEntryType.RegularFile, name),
            TarEntryFormat.Gnu => new GnuTarEntry(TarEntryType.RegularFile, name),
            _ => new PaxTarEntry(TarEntryType.RegularFile, name),
        };
        entry.DataStream = new MemoryStream(content);
        writer.WriteEntry(entry);
    }

    // The sum of a header's bytes, its own field taken as blanks, in octal digits. The header of the first entry, or that of a name.
    private static void SetChecksum(Span<byte> file)
    {
        const int At = 148, Length = 8, Header = 512;
        file.Slice(At, Length).Fill((byte)' ');
        int sum = file[..Header].ToArray().Sum(value => value);
        Encoding.ASCII.GetBytes(Convert.ToString(sum, 8).PadLeft(6, '0') + "\0 ").CopyTo(file[At..]);
    }

    private static void SetChecksumOf(byte[] file, string name) => SetChecksum(file.AsSpan(file.AsSpan().IndexOf(Encoding.ASCII.GetBytes(name))));

    /// <summary>Writes a tar file of plain files.</summary>
    internal static void WriteTar(string path, (string Name, byte[] Content)[] members, DateTimeOffset time)
    {
        using FileStream stream = File.Create(path);
        using var writer = new TarWriter(stream);
        foreach ((string name, byte[] content) in members)
        {
            writer.WriteEntry(new UstarTarEntry(TarEntryType.RegularFile, name) { DataStream = new MemoryStream(content), ModificationTime = time });
        }
    }

    private static List<(string Name, byte[] Content, DateTimeOffset Time)> ReadTar(string path)
    {
        using FileStream stream = File.OpenRead(path);
        using var reader = new TarReader(stream);
        List<(string, byte[], DateTimeOffset)> members = [];
        while (reader.GetNextEntry(copyData: true) is TarEntry entry)
        {
            byte[] content = new byte[entry.Length];
            entry.DataStream?.ReadExactly(content);
            members.Add((entry.Name, content, entry.ModificationTime));
        }

        return members;
    }
}
