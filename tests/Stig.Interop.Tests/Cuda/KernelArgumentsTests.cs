using System.Runtime.InteropServices;
using Stig.Interop.Cuda;

namespace Stig.Interop.Tests.Cuda;

/// <summary>Oracle: the layout of a PTX parameter list, each parameter at a multiple of its own size.</summary>
public sealed unsafe class KernelArgumentsTests
{
    [Fact]
    public void Values_lie_at_their_natural_alignment()
    {
        KernelArguments arguments = default;
        arguments.Add((byte)1);
        arguments.Add(2.5f);
        arguments.Add(0x1122334455667788UL);
        arguments.Add((ushort)7);
        arguments.Add(-9L);
        arguments.Add(1.5);
        Assert.Equal(6, arguments.Count);
        Assert.Equal([0, 4, 8, 16, 24, 32], Enumerable.Range(0, 6).Select(arguments.OffsetOf));
        Assert.Equal(40, arguments.Bytes.Length);
        Assert.Equal(2.5f, MemoryMarshal.Read<float>(arguments.Bytes[4..]));
        Assert.Equal(0x1122334455667788UL, MemoryMarshal.Read<ulong>(arguments.Bytes[8..]));
        Assert.Equal(-9L, MemoryMarshal.Read<long>(arguments.Bytes[24..]));
        Assert.Equal(1.5, MemoryMarshal.Read<double>(arguments.Bytes[32..]));
    }

    [Fact]
    public void Pointers_lead_to_the_values_of_this_copy()
    {
        KernelArguments first = default;
        first.Add(11);
        first.Add(22UL);
        KernelArguments second = first;
        void** pointers = stackalloc void*[KernelArguments.MaxCount];
        second.FillPointers(pointers);
        Assert.Equal(11, *(int*)pointers[0]);
        Assert.Equal(22UL, *(ulong*)pointers[1]);

        // Another launch from the copy must not see what happens to the original.
        first.Add(33);
        Assert.Equal(2, second.Count);
    }

    [Fact]
    public void Adding_and_packing_allocate_nothing()
    {
        Pack();
        long before = GC.GetAllocatedBytesForCurrentThread();
        Pack();
        Assert.Equal(before, GC.GetAllocatedBytesForCurrentThread());

        static void Pack()
        {
            KernelArguments arguments = default;
            void** pointers = stackalloc void*[KernelArguments.MaxCount];
            for (int i = 0; i < 20; i++)
            {
                arguments.Add((long)i);
                arguments.Add((float)i);
            }

            arguments.FillPointers(pointers);
        }
    }

    [Fact]
    public void More_than_fits_is_refused()
    {
        KernelArguments arguments = default;
        for (int i = 0; i < KernelArguments.MaxCount; i++)
        {
            arguments.Add(i);
        }

        Assert.Throws<InvalidOperationException>(() => arguments.Add(0));
    }
}
