using Stig.Model.Imaging;

namespace Stig.Model.Tests.Imaging;

public sealed class PixelArraysTests
{
    [Fact]
    public void An_array_is_used_again_for_its_length_only()
    {
        PixelArrays arrays = new(maxBytes: 100);
        byte[] first = arrays.Take(12);
        Assert.Equal(12, first.Length);
        arrays.Return(first);

        Assert.NotSame(first, arrays.Take(13));
        Assert.Same(first, arrays.Take(12));

        // It is in use now.
        Assert.NotSame(first, arrays.Take(12));
    }

    // Ten arrays of 30 bytes are returned where 100 bytes may lie idle: three are kept.
    [Fact]
    public void No_more_lies_idle_than_allowed()
    {
        PixelArrays arrays = new(maxBytes: 100);
        byte[][] returned = [.. Enumerable.Range(0, 10).Select(_ => new byte[30])];
        Array.ForEach(returned, arrays.Return);
        byte[][] taken = [.. returned.Select(array => arrays.Take(array.Length))];
        Assert.Equal(3, taken.Count(array => returned.Contains(array)));

        byte[] large = new byte[101];
        arrays.Return(large);
        Assert.NotSame(large, arrays.Take(101));
    }

    // Lengths that are not asked for any more must not keep others from being used again.
    [Fact]
    public void A_length_that_is_new_drives_out_the_others()
    {
        PixelArrays arrays = new(maxBytes: 100);
        byte[][] old = [new byte[50], new byte[50]];
        Array.ForEach(old, arrays.Return);
        byte[] recent = new byte[60];
        arrays.Return(recent);

        Assert.Same(recent, arrays.Take(60));
        byte[] taken = arrays.Take(50);
        Assert.DoesNotContain(old, array => ReferenceEquals(array, taken));
    }
}
