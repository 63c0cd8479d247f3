using System.Runtime.InteropServices;

namespace Stig.Interop;

/// <summary>Mirror of <c>stig_tensor</c> (native/include/stig.h): where a tensor of extents N, C, H, W lies and how.</summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct NativeTensor
{
    /// <summary>First element of image 0; null means "not wanted" where the kernel allows it.</summary>
    public void* Data;

    public long N;
    public long C;
    public long H;
    public long W;

    /// <summary>Elements between the starts of consecutive images.</summary>
    public long BatchStride;

    /// <summary>1 = planar, 16 = channel-blocked (nChw16c).</summary>
    public long Block;

    /// <summary>Element type: 1 = bfloat16; 0 = what the kernel works on otherwise.</summary>
    public long Type;
}
